import { MAX_STRING_BYTES } from './limits.ts';
import type { NBD_REP } from './protocol-numbers.ts';

/** What INFO and GO carry. */
export interface InfoRequest {
  readonly exportName: string;
  /** Numbers of NBD_INFO, and others that may come one day. */
  readonly infos: ReadonlySet<number>;
}

/** What LIST_META_CONTEXT and SET_META_CONTEXT carry. */
export interface MetaRequest {
  readonly exportName: string;
  readonly queries: readonly string[];
}

/** The reply that says what is wrong with the data of an option. */
export type BadOptionReply = keyof Pick<typeof NBD_REP, 'ERR_INVALID' | 'ERR_TOO_BIG'>;

/** The data of an option are not what the protocol wants there. */
export class OptionDataError extends Error {
  readonly reply: BadOptionReply;

  constructor(reply: BadOptionReply, sentence: string) {
    super(sentence);
    this.name = 'OptionDataError';
    this.reply = reply;
  }
}

// A byte order mark is part of a name like any other character.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads one field after the other; throws OptionDataError as soon as there is not enough. */
class Fields {
  readonly #data: Buffer;
  #at = 0;

  constructor(data: Buffer) {
    this.#data = data;
  }

  uint16(): number {
    return this.#take(2).readUInt16BE(0);
  }

  uint32(): number {
    return this.#take(4).readUInt32BE(0);
  }

  /** A string behind the 32 bits of its length. */
  string(): string {
    return parseString(this.#take(this.uint32()));
  }

  end(): void {
    if (this.#at !== this.#data.length) throw new OptionDataError('ERR_INVALID', 'Too much data.');
  }

  #take(byteCount: number): Buffer {
    const from = this.#at;
    if (byteCount > this.#data.length - from) throw new OptionDataError('ERR_INVALID', 'Too little data.');
    this.#at += byteCount;
    return this.#data.subarray(from, this.#at);
  }
}

/** A string of the protocol: UTF-8 without NUL, up to 4096 bytes. Throws OptionDataError when it is none. */
export function parseString(bytes: Buffer): string {
  if (bytes.length > MAX_STRING_BYTES) throw new OptionDataError('ERR_TOO_BIG', 'A string is too long.');
  if (bytes.includes(0)) throw new OptionDataError('ERR_INVALID', 'A string has a NUL in it.');
  try {
    return utf8.decode(bytes);
  } catch {
    throw new OptionDataError('ERR_INVALID', 'A string is not UTF-8.');
  }
}

/** Throws OptionDataError. */
export function parseInfoRequest(data: Buffer): InfoRequest {
  const fields = new Fields(data);
  const exportName = fields.string();
  const infos = new Set<number>();
  for (let left = fields.uint16(); left > 0; left -= 1) infos.add(fields.uint16());
  fields.end();
  return { exportName, infos };
}

/** Throws OptionDataError. */
export function parseMetaRequest(data: Buffer): MetaRequest {
  const fields = new Fields(data);
  const exportName = fields.string();
  const queries: string[] = [];
  for (let left = fields.uint32(); left > 0; left -= 1) queries.push(fields.string());
  fields.end();
  return { exportName, queries };
}
