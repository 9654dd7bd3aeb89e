import { isUuid } from '../core/uuid.ts';
import { textOf, type Info } from './api/api-client.ts';
import { CliError, usageError } from './cli-error.ts';

const SHORTEST_PREFIX = 4;
const SHOWN_CANDIDATES = 8;

/** What a name was found to mean. */
export interface Named {
  readonly id: string;
  /** Known when the name had to be looked up; null for a UUID, which needs no question. */
  readonly info: Info | null;
}

/** Drives or users: how they are called, where their UUID is, and how to get all of them. */
export interface Nameable {
  readonly noun: 'drive' | 'user';
  list(): Promise<readonly Info[]>;
}

/** Finds what the user means by a UUID, a name that only one has, or the beginning of a UUID. */
export async function resolveName(text: string, things: Nameable): Promise<Named> {
  if (isUuid(text.toLowerCase())) return { id: text.toLowerCase(), info: null };
  return pick(text, things.noun, await things.list());
}

/** Finds several with one question. */
export async function resolveNames(texts: readonly string[], things: Nameable): Promise<Named[]> {
  let listing: Promise<readonly Info[]> | null = null;
  const once: Nameable = { noun: things.noun, list: () => (listing ??= things.list()) };
  return Promise.all(texts.map((text) => resolveName(text, once)));
}

function pick(text: string, noun: Nameable['noun'], infos: readonly Info[]): Named {
  const byName = infos.filter((info) => textOf(info, 'name') === text);
  const isPrefix = text.length >= SHORTEST_PREFIX && /^[0-9a-f-]+$/i.test(text);
  const byPrefix = isPrefix ? infos.filter((info) => idOf(info, noun).startsWith(text.toLowerCase())) : [];
  const found = byName.length > 0 ? byName : byPrefix;
  const [only] = found;
  if (only === undefined) throw new CliError('missing', `${noun} '${text}' could not be found`);
  if (found.length === 1) return { id: idOf(only, noun), info: only };
  const shown = found.slice(0, SHOWN_CANDIDATES).map((info) => describe(info, noun));
  const more = found.length > SHOWN_CANDIDATES ? `, and ${found.length - SHOWN_CANDIDATES} more` : '';
  throw usageError(`'${text}' is ambiguous: it may be ${shown.join(', ')}${more}`);
}

function idOf(info: Info, noun: Nameable['noun']): string {
  return textOf(info, noun) ?? '';
}

function describe(info: Info, noun: Nameable['noun']): string {
  const name = textOf(info, 'name');
  return name === null ? idOf(info, noun) : `${idOf(info, noun)} (${name})`;
}
