import { quoted, usage } from './error-table.ts';

/**
 * Reads KEY VALUE text: one pair a line, the key ends at the first space and the rest of the line is the value,
 * exactly. The two characters `\n` in a value stand for a newline. Lines may end in CRLF, and blank lines are
 * passed over, because clients write both; neither is ever sent.
 *
 * @throws DriveError usage
 */
export function parseTextFields(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const sentLine of text.split('\n')) {
    const line = sentLine.endsWith('\r') ? sentLine.slice(0, -1) : sentLine;
    if (line === '') continue;
    const space = line.indexOf(' ');
    const key = space === -1 ? line : line.slice(0, space);
    if (key === '') throw usage(`The line "${quoted(line)}" begins with a space; a line is KEY VALUE.`);
    if (fields.has(key)) throw usage(`The key ${quoted(key)} is given more than once.`);
    fields.set(key, space === -1 ? '' : decodeTextValue(line.slice(space + 1)));
  }
  return fields;
}

/** A value as one line of text. A backslash followed by n in the value itself comes out the same as a newline. */
export function encodeTextValue(value: string): string {
  return value.replaceAll('\n', '\\n');
}

/** The value that a line of text stands for. */
export function decodeTextValue(text: string): string {
  return text.replaceAll('\\n', '\n');
}
