import {
  HEADER_BYTES,
  NBD_CMD,
  NBD_CMD_FLAG,
  NBD_REPLY_TYPE,
  TRANSMISSION_MAGIC,
} from './protocol-numbers.ts';

// The client's side of the transmission, for tests.

export type Form = 'simple' | 'structured' | 'extended';

export interface SentRequest {
  readonly command: keyof typeof NBD_CMD | number;
  readonly flags?: number;
  readonly cookie: number;
  readonly offsetBytes?: number;
  readonly lengthBytes?: number;
  readonly data?: Uint8Array;
  readonly magic?: number;
}

/** A request as it goes over the wire, with its data. */
export function encodeRequest(form: Form, request: SentRequest): Buffer {
  const isExtended = form === 'extended';
  const { command, cookie, offsetBytes = 0, data = new Uint8Array() } = request;
  const number = typeof command === 'number' ? command : NBD_CMD[command];
  const bytes = Buffer.alloc(isExtended ? HEADER_BYTES.extendedRequest : HEADER_BYTES.request);
  const magic = isExtended ? TRANSMISSION_MAGIC.NBD_EXTENDED_REQUEST : TRANSMISSION_MAGIC.NBD_REQUEST;
  bytes.writeUInt32BE(request.magic ?? magic);
  const own = isExtended && number === NBD_CMD.WRITE ? NBD_CMD_FLAG.PAYLOAD_LEN : 0;
  bytes.writeUInt16BE((request.flags ?? 0) | own, 4);
  bytes.writeUInt16BE(number, 6);
  bytes.writeBigUInt64BE(BigInt(cookie), 8);
  bytes.writeBigUInt64BE(BigInt(offsetBytes), 16);
  const lengthBytes = request.lengthBytes ?? data.byteLength;
  if (isExtended) bytes.writeBigUInt64BE(BigInt(lengthBytes), 24);
  else bytes.writeUInt32BE(lengthBytes, 24);
  return Buffer.concat([bytes, data]);
}

export interface StatusExtent {
  readonly lengthBytes: number;
  readonly flags: number;
}

/** Everything that answers one request. */
export interface ReceivedReply {
  readonly cookie: number;
  readonly error: number;
  readonly data: Buffer;
  readonly extents: readonly StatusExtent[];
  /** 0 for a simple reply. */
  readonly chunks: number;
}

/** What was asked for, as far as it decides what the reply looks like. */
export interface Awaited {
  readonly command: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

interface Partial {
  readonly data: Buffer;
  readonly extents: StatusExtent[];
  chunks: number;
  error: number;
}

/** Takes a server's bytes as they come. Throws when a reply is malformed, or answers what was not asked. */
export class ReplyReader {
  readonly #form: Form;
  readonly #awaited: Map<number, Awaited>;
  readonly #partial = new Map<number, Partial>();
  #bytes: Buffer[] = [];
  #length = 0;
  #wanted = 1;

  constructor(form: Form, awaited: Map<number, Awaited>) {
    this.#form = form;
    this.#awaited = awaited;
  }

  /** The replies that are complete with these bytes. */
  take(bytes: Buffer): ReceivedReply[] {
    this.#bytes.push(bytes);
    this.#length += bytes.length;
    const replies: ReceivedReply[] = [];
    if (this.#length < this.#wanted) return replies;
    let all = Buffer.concat(this.#bytes);
    for (;;) {
      const { takenBytes, reply } = this.#parse(all);
      if (takenBytes === 0) break;
      all = all.subarray(takenBytes);
      if (reply !== null) replies.push(reply);
    }
    this.#bytes = [all];
    this.#length = all.length;
    return replies;
  }

  #parse(all: Buffer): { takenBytes: number; reply: ReceivedReply | null } {
    const none = { takenBytes: 0, reply: null };
    this.#wanted = HEADER_BYTES.simpleReply;
    if (all.length < this.#wanted) return none;
    const cookie = Number(all.readBigUInt64BE(8));
    const awaited = this.#awaited.get(cookie);
    if (awaited === undefined) throw new Error(`Cookie ${cookie} was answered and not asked.`);
    const magic = all.readUInt32BE(0);
    if (magic === TRANSMISSION_MAGIC.NBD_SIMPLE_REPLY) return this.#parseSimple(all, cookie, awaited);
    const isExtended = this.#form === 'extended';
    const expected = isExtended
      ? TRANSMISSION_MAGIC.NBD_EXTENDED_REPLY
      : TRANSMISSION_MAGIC.NBD_STRUCTURED_REPLY;
    if (this.#form === 'simple' || magic !== expected) throw new Error(`This is no reply: ${magic}.`);
    const headerBytes = isExtended ? HEADER_BYTES.extendedReply : HEADER_BYTES.structuredReply;
    this.#wanted = headerBytes;
    if (all.length < headerBytes) return none;
    const contentBytes = isExtended ? Number(all.readBigUInt64BE(24)) : all.readUInt32BE(16);
    this.#wanted = headerBytes + contentBytes;
    if (all.length < this.#wanted) return none;
    if (isExtended && Number(all.readBigUInt64BE(16)) !== awaited.offsetBytes)
      throw new Error('The offset of a reply is not that of its request.');
    const content = all.subarray(headerBytes, this.#wanted);
    const head = { isDone: (all.readUInt16BE(4) & 1) !== 0, type: all.readUInt16BE(6) };
    return { takenBytes: this.#wanted, reply: this.#takeChunk(cookie, awaited, { ...head, content }) };
  }

  #parseSimple(
    all: Buffer,
    cookie: number,
    { command, lengthBytes }: Awaited,
  ): { takenBytes: number; reply: ReceivedReply | null } {
    const error = all.readUInt32BE(4);
    const hasData = command === NBD_CMD.READ && error === 0;
    const isChunked = command === NBD_CMD.READ || command === NBD_CMD.BLOCK_STATUS;
    if (this.#form === 'extended' || (this.#form === 'structured' && isChunked))
      throw new Error('There is a simple reply where there may be none.');
    this.#wanted = HEADER_BYTES.simpleReply + (hasData ? lengthBytes : 0);
    if (all.length < this.#wanted) return { takenBytes: 0, reply: null };
    this.#awaited.delete(cookie);
    const data = Buffer.from(all.subarray(HEADER_BYTES.simpleReply, this.#wanted));
    return { takenBytes: this.#wanted, reply: { cookie, error, data, extents: [], chunks: 0 } };
  }

  #takeChunk(
    cookie: number,
    awaited: Awaited,
    { isDone, type, content }: { isDone: boolean; type: number; content: Buffer },
  ): ReceivedReply | null {
    const { command, offsetBytes, lengthBytes } = awaited;
    const found = this.#partial.get(cookie);
    const data = command === NBD_CMD.READ && found === undefined ? Buffer.alloc(lengthBytes) : NO_BYTES;
    const partial = found ?? { data, extents: [], chunks: 0, error: 0 };
    this.#partial.set(cookie, partial);
    partial.chunks += 1;
    if (type === NBD_REPLY_TYPE.OFFSET_DATA) {
      content.copy(partial.data, Number(content.readBigUInt64BE(0)) - offsetBytes, 8);
    } else if (type === NBD_REPLY_TYPE.ERROR) partial.error = content.readUInt32BE(0);
    else if (type === NBD_REPLY_TYPE.BLOCK_STATUS) partial.extents.push(...extentsOf(content, false));
    else if (type === NBD_REPLY_TYPE.BLOCK_STATUS_EXT) partial.extents.push(...extentsOf(content, true));
    else if (type !== NBD_REPLY_TYPE.NONE) throw new Error(`A chunk has the unknown type ${type}.`);
    if (!isDone) return null;
    this.#partial.delete(cookie);
    this.#awaited.delete(cookie);
    return { cookie, ...partial };
  }
}

const NO_BYTES = Buffer.alloc(0);

function extentsOf(content: Buffer, isExtended: boolean): StatusExtent[] {
  const extents: StatusExtent[] = [];
  const step = isExtended ? 16 : 8;
  for (let at = isExtended ? 8 : 4; at < content.length; at += step) {
    extents.push(
      isExtended
        ? {
            lengthBytes: Number(content.readBigUInt64BE(at)),
            flags: Number(content.readBigUInt64BE(at + 8)),
          }
        : { lengthBytes: content.readUInt32BE(at), flags: content.readUInt32BE(at + 4) },
    );
  }
  return extents;
}
