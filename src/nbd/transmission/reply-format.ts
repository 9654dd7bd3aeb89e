import { HEADER_BYTES, NBD_REPLY_FLAG, NBD_REPLY_TYPE, TRANSMISSION_MAGIC } from '../protocol-numbers.ts';
import type { Request } from './request.ts';

/** Which of the three forms of reply a connection has agreed upon. */
export type ReplyForm = 'simple' | 'structured' | 'extended';

/** What stands before the data of a READ, or of a part of it: the header, and in a chunk the data's offset. */
export function dataHeaderBytes(form: ReplyForm): number {
  switch (form) {
    case 'simple':
      return HEADER_BYTES.simpleReply;
    case 'structured':
      return HEADER_BYTES.structuredReply + OFFSET_BYTES;
    case 'extended':
      return HEADER_BYTES.extendedReply + OFFSET_BYTES;
  }
}

const OFFSET_BYTES = 8;
/** The longest reply without data or extents. */
export const SHORT_REPLY_BYTES = HEADER_BYTES.extendedReply + 6;

interface Chunk {
  readonly type: number;
  readonly isLast: boolean;
  /** Of what follows the header. */
  readonly lengthBytes: number;
}

/** Writes the header of a chunk and returns where its content begins. */
function writeChunkHeader(
  numbers: DataView,
  at: number,
  { form, request, chunk }: { form: ReplyForm; request: Request; chunk: Chunk },
): number {
  const isExtended = form === 'extended';
  numbers.setUint32(
    at,
    isExtended ? TRANSMISSION_MAGIC.NBD_EXTENDED_REPLY : TRANSMISSION_MAGIC.NBD_STRUCTURED_REPLY,
  );
  numbers.setUint16(at + 4, chunk.isLast ? NBD_REPLY_FLAG.DONE : 0);
  numbers.setUint16(at + 6, chunk.type);
  numbers.setUint32(at + 8, request.cookieHigh);
  numbers.setUint32(at + 12, request.cookieLow);
  if (!isExtended) {
    numbers.setUint32(at + 16, chunk.lengthBytes);
    return at + HEADER_BYTES.structuredReply;
  }
  numbers.setUint32(at + 16, request.offsetHigh);
  numbers.setUint32(at + 20, request.offsetLow);
  writeLong(numbers, at + 24, chunk.lengthBytes);
  return at + HEADER_BYTES.extendedReply;
}

/** Writes what stands before data of a READ and returns where the data begins. */
export function writeDataHeader(
  numbers: DataView,
  at: number,
  reply: { form: ReplyForm; request: Request; offsetBytes: number; lengthBytes: number; isLast: boolean },
): number {
  const { form, request, offsetBytes, lengthBytes, isLast } = reply;
  if (form === 'simple') return writeSimple(numbers, at, request, 0);
  const chunk = { type: NBD_REPLY_TYPE.OFFSET_DATA, isLast, lengthBytes: OFFSET_BYTES + lengthBytes };
  const content = writeChunkHeader(numbers, at, { form, request, chunk });
  writeLong(numbers, content, offsetBytes);
  return content + OFFSET_BYTES;
}

/** Writes a reply that is no more than success (0) or an error, and returns where it ends. */
export function writeOutcome(
  numbers: DataView,
  at: number,
  { form, request, error, mustBeChunk }: OutcomeReply,
): number {
  if (form === 'simple' || (form === 'structured' && !mustBeChunk))
    return writeSimple(numbers, at, request, error);
  if (error === 0) {
    const chunk = { type: NBD_REPLY_TYPE.NONE, isLast: true, lengthBytes: 0 };
    return writeChunkHeader(numbers, at, { form, request, chunk });
  }
  const chunk = { type: NBD_REPLY_TYPE.ERROR, isLast: true, lengthBytes: 6 };
  const content = writeChunkHeader(numbers, at, { form, request, chunk });
  numbers.setUint32(content, error);
  // No words: the number says it.
  numbers.setUint16(content + 4, 0);
  return content + 6;
}

export interface OutcomeReply {
  readonly form: ReplyForm;
  readonly request: Request;
  readonly error: number;
  /** Whether the command's replies are chunks wherever there are chunks: READ and BLOCK_STATUS. */
  readonly mustBeChunk: boolean;
}

/** An extent of `base:allocation`. */
export interface StatusExtent {
  readonly lengthBytes: number;
  readonly flags: number;
}

/** The bytes that a reply to BLOCK_STATUS with so many extents takes. */
export function statusReplyBytes(form: ReplyForm, extents: number): number {
  return form === 'extended'
    ? HEADER_BYTES.extendedReply + 8 + 16 * extents
    : HEADER_BYTES.structuredReply + 4 + 8 * extents;
}

/** Writes the reply to a BLOCK_STATUS and returns where it ends. */
export function writeStatus(
  numbers: DataView,
  at: number,
  { form, request, contextId, extents }: StatusReply,
): number {
  const isExtended = form === 'extended';
  const type = isExtended ? NBD_REPLY_TYPE.BLOCK_STATUS_EXT : NBD_REPLY_TYPE.BLOCK_STATUS;
  const lengthBytes = isExtended ? 8 + 16 * extents.length : 4 + 8 * extents.length;
  let to = writeChunkHeader(numbers, at, { form, request, chunk: { type, isLast: true, lengthBytes } });
  numbers.setUint32(to, contextId);
  to += 4;
  if (isExtended) {
    numbers.setUint32(to, extents.length);
    to += 4;
  }
  for (const extent of extents) {
    if (isExtended) {
      writeLong(numbers, to, extent.lengthBytes);
      writeLong(numbers, to + 8, extent.flags);
      to += 16;
    } else {
      numbers.setUint32(to, extent.lengthBytes);
      numbers.setUint32(to + 4, extent.flags);
      to += 8;
    }
  }
  return to;
}

export interface StatusReply {
  readonly form: ReplyForm;
  readonly request: Request;
  readonly contextId: number;
  readonly extents: readonly StatusExtent[];
}

function writeSimple(numbers: DataView, at: number, request: Request, error: number): number {
  numbers.setUint32(at, TRANSMISSION_MAGIC.NBD_SIMPLE_REPLY);
  numbers.setUint32(at + 4, error);
  numbers.setUint32(at + 8, request.cookieHigh);
  numbers.setUint32(at + 12, request.cookieLow);
  return at + HEADER_BYTES.simpleReply;
}

function writeLong(numbers: DataView, at: number, value: number): void {
  numbers.setUint32(at, Math.floor(value / 2 ** 32));
  numbers.setUint32(at + 4, value % 2 ** 32);
}
