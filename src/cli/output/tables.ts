import type { Writable } from 'node:stream';
import { textOf, type Info } from '../api/api-client.ts';
import { gibText } from './size-text.ts';

/** One column of a table for people. */
export interface Column {
  readonly title: string;
  readonly alignRight?: boolean;
  value(info: Info): string;
}

export function column(title: string, key: string): Column {
  return { title, value: (info) => textOf(info, key) ?? '-' };
}

/** Bytes, shown in GiB. */
export function gibColumn(title: string, key: string): Column {
  const value = (info: Info): string => (info[key] === undefined ? '-' : gibText(Number(info[key])));
  return { title, alignRight: true, value };
}

/** Prints rows under their titles, each column as wide as its widest value. */
export function printTable(out: Writable, columns: readonly Column[], infos: readonly Info[]): void {
  const rows = [
    columns.map(({ title }) => title),
    ...infos.map((info) => columns.map(({ value }) => printable(value(info)))),
  ];
  const widths = columns.map((_, index) =>
    rows.reduce((width, row) => Math.max(width, row[index]?.length ?? 0), 0),
  );
  for (const row of rows) {
    const cells = row.map((cell, index) =>
      columns[index]?.alignRight === true
        ? cell.padStart(widths[index] ?? 0)
        : cell.padEnd(widths[index] ?? 0),
    );
    out.write(`${cells.join('  ').trimEnd()}\n`);
  }
}

/** Prints objects as `key  value` lines, with an empty line between two of them. */
export function printInfos(out: Writable, infos: readonly Info[]): void {
  infos.forEach((info, index) => {
    if (index > 0) out.write('\n');
    const width = Object.keys(info).reduce((longest, key) => Math.max(longest, key.length), 0);
    for (const [key, value] of Object.entries(info)) {
      const gib = key === 'size' ? ` (${gibText(Number(value))} GiB)` : '';
      out.write(`${printable(key.padEnd(width))}  ${printable(String(value))}${gib}\n`);
    }
  });
}

export function printJson(out: Writable, value: unknown): void {
  out.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Names are other people's text: control characters must not reach the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) => (character === '\n' ? '\\n' : '?'));
}
