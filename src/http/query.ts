import { parseSizeBytes } from '../core/sizes.ts';
import { isUuid } from '../core/uuid.ts';
import { quoted, usage } from './error-table.ts';
import { hasControlCharacters, wrongSize } from './input-fields.ts';

/** The parameters after the question mark, each of them once. */
export type Query = ReadonlyMap<string, string>;

/** A parameter that a command takes, for the documents. */
export interface QueryParameter {
  readonly name: string;
  readonly description: string;
}

export const LIST_PARAMETERS: readonly QueryParameter[] = [
  { name: 'limit', description: 'At most this many drives.' },
  { name: 'after', description: 'Only drives after this UUID, in the order of their UUIDs.' },
  { name: 'tag', description: 'Only drives with this tag.' },
];

export const PAGE_PARAMETERS: readonly QueryParameter[] = LIST_PARAMETERS.slice(0, 2);

export const MAP_PARAMETERS: readonly QueryParameter[] = [
  { name: 'offset', description: 'Where to begin, a multiple of 4 MiB; 0 when absent.' },
  { name: 'size', description: 'How much to map; up to the end of the drive when absent.' },
  { name: 'hash', description: '`sha256` for the hash of each block that is not zero.' },
];

/**
 * Reads a query. What a command does not take is refused, because a parameter that is passed over in silence may have
 * been what kept a command from doing harm.
 *
 * @throws DriveError usage
 */
export function parseQuery(text: string, known: readonly QueryParameter[]): Query {
  const query = new Map<string, string>();
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decode(equals === -1 ? pair : pair.slice(0, equals));
    if (!known.some((parameter) => parameter.name === name)) throw unknownParameter(name, known);
    if (query.has(name)) throw usage(`The parameter ${name} is given more than once.`);
    query.set(name, equals === -1 ? '' : decode(pair.slice(equals + 1)));
  }
  return query;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw usage(`"${quoted(text)}" in the query is not valid percent-encoded UTF-8.`);
  }
}

function unknownParameter(name: string, known: readonly QueryParameter[]): Error {
  const names = known.map((parameter) => parameter.name).join(', ');
  const help = names === '' ? 'this command takes none' : `the known ones are ${names}`;
  return usage(`The parameter ${quoted(name)} is not known: ${help}.`);
}

/** Which part of a list is asked for; absent parameters are absent. */
export interface ListPart {
  readonly limit?: number;
  readonly after?: string;
  readonly tag?: string;
}

export function parseListPart(query: Query, maxLimit: number): ListPart {
  const limit = query.get('limit');
  const after = query.get('after');
  const tag = query.get('tag');
  if (after !== undefined && !isUuid(after))
    throw usage(`after "${quoted(after)}" is not a UUID in lower case.`);
  if (tag !== undefined && (!/^\S+$/.test(tag) || hasControlCharacters(tag)))
    throw usage(`tag "${quoted(tag)}" is not one word.`);
  return {
    ...(limit === undefined ? {} : { limit: parseLimit(limit, maxLimit) }),
    ...(after === undefined ? {} : { after }),
    ...(tag === undefined ? {} : { tag }),
  };
}

function parseLimit(text: string, maxLimit: number): number {
  const limit = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= maxLimit) return limit;
  throw usage(`limit "${quoted(text)}" is not a whole number from 1 to ${maxLimit}.`);
}

/** A size or an offset in a path or a query. */
export function parseSizeWord(name: string, text: string): number {
  const sizeBytes = parseSizeBytes(text);
  if (sizeBytes !== null) return sizeBytes;
  throw wrongSize(name, text);
}
