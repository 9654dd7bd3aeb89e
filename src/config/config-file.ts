import { LineCounter, isMap, isScalar, isSeq, parseDocument } from 'yaml';

/** What a configuration file holds, with the line where it stands. Every scalar is the text that was written. */
export type FileNode =
  | { readonly kind: 'text'; readonly line: number; readonly text: string }
  | { readonly kind: 'list'; readonly line: number; readonly items: readonly FileNode[] }
  | { readonly kind: 'map'; readonly line: number; readonly entries: ReadonlyMap<string, FileNode> };

/** The file as nodes, or what is wrong with it as YAML. */
export type ParsedFile =
  | { readonly root: FileNode }
  | { readonly problems: readonly { readonly line: number; readonly sentence: string }[] };

/**
 * Reads YAML without letting it guess types (the failsafe schema), so that `0123` stays what it is and each setting
 * decides what its text means.
 */
export function parseConfigFile(text: string): ParsedFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { schema: 'failsafe', lineCounter: lines, prettyErrors: false });
  const lineOf = (offset: number): number => lines.linePos(offset).line;
  const problems = [...document.errors, ...document.warnings].map((error) => ({
    line: lineOf(error.pos[0]),
    sentence: `${firstLine(error.message)}.`,
  }));
  if (problems.length > 0) return { problems };
  if (document.contents === null) return { root: { kind: 'map', line: 1, entries: new Map() } };
  return { root: toNode(document.contents, 1, lineOf) };
}

function toNode(value: unknown, parentLine: number, lineOf: (offset: number) => number): FileNode {
  const line = startOf(value, parentLine, lineOf);
  if (isSeq(value))
    return { kind: 'list', line, items: value.items.map((item) => toNode(item, line, lineOf)) };
  if (isMap(value)) {
    const pairs = value.items.map((pair): [string, FileNode] => {
      const keyLine = startOf(pair.key, line, lineOf);
      return [isScalar(pair.key) ? String(pair.key.value) : '', toNode(pair.value, keyLine, lineOf)];
    });
    return { kind: 'map', line, entries: new Map(pairs) };
  }
  // An alias is left as its own text: nothing here is long enough to need one.
  return { kind: 'text', line, text: isScalar(value) ? String(value.value ?? '') : '' };
}

function startOf(value: unknown, parentLine: number, lineOf: (offset: number) => number): number {
  const hasRange = isScalar(value) || isSeq(value) || isMap(value);
  const offset = hasRange ? value.range?.[0] : undefined;
  return offset === undefined ? parentLine : lineOf(offset);
}

function firstLine(message: string): string {
  return (message.split('\n')[0] ?? '').replace(/[.:]$/, '');
}
