import type { Negotiated } from './handshake.ts';
import {
  HEADER_BYTES,
  NBD_CMD,
  NBD_CMD_FLAG,
  NBD_ERROR,
  NBD_REPLY_FLAG,
  NBD_REPLY_TYPE,
  NBD_STATE,
  TRANSMISSION_MAGIC,
} from './protocol-numbers.ts';
import { uint16, uint32 } from './scratch-client.ts';

interface Request {
  readonly flags: number;
  readonly command: number;
  readonly cookie: Buffer;
  readonly offset: Buffer;
  readonly lengthBytes: number;
}

/**
 * Serves just enough of the transmission for real clients to judge the handshake: an export that reads as zeros, is one
 * hole, and refuses everything else. No model for a server.
 */
export function transmitZeros(negotiated: Negotiated): void {
  const { socket, extendedHeaders, leftover } = negotiated;
  const headerBytes = extendedHeaders ? HEADER_BYTES.extendedRequest : HEADER_BYTES.request;
  let pending = Buffer.alloc(0);
  const take = (bytes: Buffer): void => {
    pending = Buffer.concat([pending, bytes]);
    while (pending.length >= headerBytes) {
      const request = parseRequest(pending, extendedHeaders);
      const bytesToCome = headerBytes + payloadBytes(request, extendedHeaders);
      if (pending.length < bytesToCome) return;
      pending = pending.subarray(bytesToCome);
      if (request.command === NBD_CMD.DISC) socket.end();
      else socket.write(answer(request, negotiated));
    }
  };
  // The handshake took this socket's reading from Node, which believes that it still goes on.
  const handle = (socket as unknown as { _handle: { reading: boolean; readStart(): void } })._handle;
  handle.reading = true;
  handle.readStart();
  socket.on('data', take);
  socket.resume();
  take(leftover);
}

function parseRequest(bytes: Buffer, isExtended: boolean): Request {
  const magic = isExtended ? TRANSMISSION_MAGIC.NBD_EXTENDED_REQUEST : TRANSMISSION_MAGIC.NBD_REQUEST;
  if (bytes.readUInt32BE(0) !== magic) throw new Error('This is no request.');
  return {
    flags: bytes.readUInt16BE(4),
    command: bytes.readUInt16BE(6),
    cookie: bytes.subarray(8, 16),
    offset: bytes.subarray(16, 24),
    lengthBytes: isExtended ? Number(bytes.readBigUInt64BE(24)) : bytes.readUInt32BE(24),
  };
}

function payloadBytes({ flags, command, lengthBytes }: Request, isExtended: boolean): number {
  const hasPayload = isExtended ? (flags & NBD_CMD_FLAG.PAYLOAD_LEN) !== 0 : command === NBD_CMD.WRITE;
  return hasPayload ? lengthBytes : 0;
}

function answer(request: Request, negotiated: Negotiated): Buffer {
  const { lengthBytes, offset } = request;
  const { structuredReplies, extendedHeaders, baseAllocationId } = negotiated;
  const length = extendedHeaders ? uint64(lengthBytes) : uint32(lengthBytes);
  if (request.command === NBD_CMD.READ) {
    if (!structuredReplies) return Buffer.concat([simple(0, request.cookie), Buffer.alloc(lengthBytes)]);
    return chunk('OFFSET_HOLE', { request, extendedHeaders, payload: [offset, uint32(lengthBytes)] });
  }
  if (request.command === NBD_CMD.BLOCK_STATUS && baseAllocationId !== null) {
    const state = NBD_STATE.HOLE | NBD_STATE.ZERO;
    const extent = extendedHeaders ? [uint32(1), length, uint64(state)] : [length, uint32(state)];
    const type = extendedHeaders ? 'BLOCK_STATUS_EXT' : 'BLOCK_STATUS';
    return chunk(type, { request, extendedHeaders, payload: [uint32(baseAllocationId), ...extent] });
  }
  if (!structuredReplies) return simple(NBD_ERROR.EPERM, request.cookie);
  return chunk('ERROR', { request, extendedHeaders, payload: [uint32(NBD_ERROR.EPERM), uint16(0)] });
}

function simple(error: number, cookie: Buffer): Buffer {
  return Buffer.concat([uint32(TRANSMISSION_MAGIC.NBD_SIMPLE_REPLY), uint32(error), cookie]);
}

function chunk(
  type: keyof typeof NBD_REPLY_TYPE,
  parts: { request: Request; extendedHeaders: boolean; payload: readonly Buffer[] },
): Buffer {
  const payload = Buffer.concat(parts.payload);
  const kind = [uint16(NBD_REPLY_FLAG.DONE), uint16(NBD_REPLY_TYPE[type]), parts.request.cookie];
  const rest = parts.extendedHeaders
    ? [parts.request.offset, uint64(payload.length)]
    : [uint32(payload.length)];
  const magic = parts.extendedHeaders
    ? TRANSMISSION_MAGIC.NBD_EXTENDED_REPLY
    : TRANSMISSION_MAGIC.NBD_STRUCTURED_REPLY;
  return Buffer.concat([uint32(magic), ...kind, ...rest, payload]);
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
