import type { BlockInfo, Info } from '../service/service.ts';
import { encodeTextValue } from './text-fields.ts';

export const TEXT_TYPE = 'text/plain; charset=utf-8';
export const JSON_TYPE = 'application/json';

/** Whether `Accept` asks for JSON: named, not refused by q=0, and not less wanted than text/plain. */
export function acceptsJson(accept: string | undefined): boolean {
  const json = quality(accept, 'application/json');
  return json > 0 && json >= quality(accept, 'text/plain');
}

function quality(accept: string | undefined, type: string): number {
  const ranges = (accept ?? '').toLowerCase().split(',');
  const range = ranges.find((candidate) => candidate.split(';')[0]?.trim() === type);
  if (range === undefined) return 0;
  const q = Number(/;\s*q\s*=\s*([0-9.]+)/.exec(range)?.[1] ?? 1);
  return Number.isNaN(q) ? 1 : q;
}

/** One object as text: a line for each key that has a value. */
export function infoAsText(info: Info): string {
  return present(info)
    .map(([key, value]) => `${key} ${encodeTextValue(String(value))}\n`)
    .join('');
}

/** One object as JSON: `size` is a number, everything else a string, because clients' parsers expect just that. */
export function infoAsJson(info: Info): string {
  const pairs = present(info).map(([key, value]) => [key, key === 'size' ? Number(value) : String(value)]);
  return JSON.stringify(Object.fromEntries(pairs));
}

function present(info: Info): [string, string | number][] {
  return Object.entries(info).filter(([, value]) => value !== '');
}

/** One block of a map as a line of text. */
export function blockAsText(block: BlockInfo): string {
  const hash = block.sha256 === undefined ? '' : ` ${block.sha256}`;
  return `${block.offsetBytes} ${block.lengthBytes} ${block.isZero ? 'zero' : 'data'}${hash}\n`;
}

export function blockAsJson(block: BlockInfo): string {
  return infoAsJson({
    offset: block.offsetBytes,
    size: block.lengthBytes,
    zero: block.isZero ? 'true' : '',
    sha256: block.sha256 ?? '',
  });
}

/** How the items of one kind of list are written: each in both forms, and what stands between two in text. */
export interface ItemRendering<Item> {
  readonly asText: (item: Item) => string;
  readonly asJson: (item: Item) => string;
  readonly textSeparator: string;
  readonly output: 'properties' | 'list';
}

export const INFO_ITEMS: ItemRendering<Info> = {
  asText: infoAsText,
  asJson: infoAsJson,
  textSeparator: '\n',
  output: 'properties',
};

export const BLOCK_ITEMS: ItemRendering<BlockInfo> = {
  asText: blockAsText,
  asJson: blockAsJson,
  textSeparator: '',
  output: 'list',
};

/** A list of bare values, which in JSON are objects of this one key. */
export function valueItems(key: string): ItemRendering<string> {
  return {
    asText: (value) => `${encodeTextValue(value)}\n`,
    asJson: (value) => JSON.stringify({ [key]: value }),
    textSeparator: '',
    output: 'list',
  };
}

/** Renders a list page by page: JSON as one array, text with the separator between two items and nowhere else. */
export async function* renderPages<Item>(
  pages: AsyncIterable<readonly Item[]>,
  items: ItemRendering<Item>,
  isJson: boolean,
): AsyncGenerator<string> {
  const separator = isJson ? ',' : items.textSeparator;
  const render = isJson ? items.asJson : items.asText;
  let isFirst = true;
  if (isJson) yield '[';
  for await (const page of pages) {
    if (page.length === 0) continue;
    yield (isFirst ? '' : separator) + page.map(render).join(separator);
    isFirst = false;
  }
  if (isJson) yield ']';
}
