import type { FileNode } from './config-file.ts';
import { closestTo } from './did-you-mean.ts';
import type { SettingKind, ValueOrigin } from './setting-kind.ts';

/** One key of a map in a list of the configuration file. */
export interface MapKey {
  readonly fileKey: string;
  readonly mustBe: string;
  readonly defaultText: string;
  readonly help: string;
}

/** Takes one sentence for each mistake, with the line where it stands. */
export type ReportMistake = (line: number, sentence: string) => void;

export type MapNode = Extract<FileNode, { kind: 'map' }>;

/** Reads the keys of a map, and reports each that is unknown, missing or no such value. */
export class MapReader {
  readonly #node: MapNode;
  readonly #context: { readonly what: string; readonly origin: ValueOrigin; readonly report: ReportMistake };

  /**
   * @param context.what how sentences name the list, such as `pools`
   * @param context.subject how they name the map, such as `A pool`
   */
  constructor(
    node: MapNode,
    context: {
      what: string;
      subject: string;
      keys: Readonly<Record<string, MapKey>>;
      origin: ValueOrigin;
      report: ReportMistake;
    },
  ) {
    this.#node = node;
    this.#context = context;
    const { what, subject, report } = context;
    const known = Object.keys(context.keys);
    for (const [key, child] of node.entries) {
      if (known.includes(key)) continue;
      const keys = `${subject} has ${known.join(', ')}.`;
      report(child.line, `${what}: unknown key ${key}${closestTo(key, known)} ${keys}`);
    }
  }

  has(key: string): boolean {
    return this.#node.entries.has(key);
  }

  /** Null when the key is not there, or has been reported. */
  value<Value>(key: string, kind: SettingKind<Value>): Value | null {
    const { what, origin, report } = this.#context;
    const child = this.#node.entries.get(key);
    if (child === undefined) return null;
    const parsed = child.kind === 'text' ? kind.parse(child.text, origin) : null;
    if (parsed === null) report(child.line, `${what}: ${key} must be ${kind.mustBe}${shown(child)}.`);
    return parsed;
  }

  /** The map below the key; null when it is not there, or has been reported. */
  map(key: string): MapNode | null {
    const { what, report } = this.#context;
    const child = this.#node.entries.get(key);
    if (child === undefined || child.kind === 'map') return child ?? null;
    report(child.line, `${what}: ${key} must be a map${shown(child)}.`);
    return null;
  }
}

function shown(node: FileNode): string {
  return node.kind === 'text' ? `, not ${JSON.stringify(node.text)}` : `, not a ${node.kind}`;
}
