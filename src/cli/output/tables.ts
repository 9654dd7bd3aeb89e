import type { Writable } from 'node:stream';
import { textOf, type Info } from '../api/api-client.ts';
import { gibText } from './size-text.ts';

/** One column of a table for people. */
export interface Column<Row = Info> {
  readonly title: string;
  readonly alignRight?: boolean;
  value(row: Row): string;
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
  for (const line of tableLines(columns, infos)) out.write(`${line}\n`);
}

/** The lines of a table, its titles first. */
export function tableLines<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): readonly string[] {
  const texts = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map((column) => printable(column.value(row)))),
  ];
  const widths = columns.map((_, index) =>
    texts.reduce((width, row) => Math.max(width, row[index]?.length ?? 0), 0),
  );
  return texts.map((row) => {
    const cells = row.map((cell, index) =>
      columns[index]?.alignRight === true
        ? cell.padStart(widths[index] ?? 0)
        : cell.padEnd(widths[index] ?? 0),
    );
    return cells.join('  ').trimEnd();
  });
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

/**
 * Names are other people's text: control characters must not reach the terminal, nor those that turn the direction of
 * what follows, so that a row would show another UUID.
 */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (character) =>
    character === '\n' ? '\\n' : '?',
  );
}
