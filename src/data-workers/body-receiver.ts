import { DriveError } from '../core/errors.ts';
import { PIECE_BYTES, viewOf } from './arena.ts';
import type { Loan, Segment } from './arena.ts';
import type { PieceLender } from './piece-lender.ts';
import type { ReceivedPart } from './protocol.ts';
import type { BegunBody, IncomingBody, ReceivedBody } from './volumes.ts';

/** Receives from a socket into segments of the arena, behind what is there. */
export type ReceiveFrom = (
  descriptor: number,
  space: { segments: readonly Segment[]; filledBytes: number },
) => Promise<ReceivedPart>;

interface BodyMemory {
  readonly lender: PieceLender;
  readonly memory: WebAssembly.Memory;
  readonly receiveFrom: ReceiveFrom;
}

/** Smaller bodies are there, or nearly, when their head is: a thread would have nothing to wait for. */
export const DIRECT_BODY_BYTES = 64 * 1024;

/**
 * Takes a whole body into borrowed memory: from the client's own socket where that can be, as long as the client is
 * fast, and chunk by chunk otherwise.
 *
 * @throws DriveError usage when the body ends early or goes on for longer than it said
 */
export async function receiveBody(body: IncomingBody, parts: BodyMemory): Promise<ReceivedBody> {
  const loan = await parts.lender.borrow(piecesOf(body));
  return await receiveRest(body, await beginBody(body, loan, parts), parts.memory);
}

/** How many pieces a body takes. */
export function piecesOf({ lengthBytes }: IncomingBody): number {
  return Math.ceil(lengthBytes / PIECE_BYTES);
}

/** Takes what comes of a body from the client's own socket, where that can be and as long as the client is fast. */
export async function beginBody(
  body: IncomingBody,
  loan: Loan,
  { memory, receiveFrom }: Omit<BodyMemory, 'lender'>,
): Promise<BegunBody> {
  try {
    const segments = trimmed(loan.segments, body.lengthBytes);
    const space = new BodySpace({ segments, memory, receivedBytes: 0 });
    const isDirect = body.lengthBytes >= DIRECT_BODY_BYTES;
    const encryptedBytes = isDirect ? await receiveFromSocket(space, body, receiveFrom) : 0;
    const { receivedBytes } = space;
    return { segments, receivedBytes, encryptedBytes, release: () => loan.release() };
  } catch (error) {
    loan.release();
    throw error;
  }
}

/**
 * Takes what is missing of a body, chunk by chunk.
 *
 * @throws DriveError usage when the body ends early or goes on for longer than it said
 */
export async function receiveRest(
  body: IncomingBody,
  { receivedBytes, ...begun }: BegunBody,
  memory: WebAssembly.Memory,
): Promise<ReceivedBody> {
  try {
    const space = new BodySpace({ segments: begun.segments, memory, receivedBytes });
    if (space.receivedBytes < body.lengthBytes) {
      for await (const chunk of body.chunks()) space.add(chunk);
    }
    if (space.receivedBytes < body.lengthBytes) throw wrongLength(space.receivedBytes, body.lengthBytes);
    return begun;
  } catch (error) {
    begun.release();
    throw error;
  }
}

async function receiveFromSocket(
  space: BodySpace,
  body: IncomingBody,
  receiveFrom: ReceiveFrom,
): Promise<number> {
  const socket = body.takeSocket();
  if (socket === null) return 0;
  let readBytes = 0;
  try {
    space.add(socket.received);
    const { segments, receivedBytes: filledBytes } = space;
    const part = await receiveFrom(socket.descriptor, { segments, filledBytes });
    readBytes = part.receivedBytes;
    space.advance(readBytes);
    return part.encryptedBytes;
  } finally {
    socket.giveBack(readBytes);
  }
}

/** The memory of one body, filled from its beginning on. */
class BodySpace {
  readonly segments: readonly Segment[];
  readonly #memory: WebAssembly.Memory;
  readonly #lengthBytes: number;
  #receivedBytes: number;

  constructor(body: Pick<BegunBody, 'segments' | 'receivedBytes'> & { memory: WebAssembly.Memory }) {
    const { segments, memory, receivedBytes } = body;
    this.segments = segments;
    this.#memory = memory;
    this.#receivedBytes = receivedBytes;
    this.#lengthBytes = segments.reduce((sum, segment) => sum + segment.lengthBytes, 0);
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** What is still to be filled. */
  #rest(): Segment[] {
    let skipBytes = this.#receivedBytes;
    return this.segments.flatMap(({ address, lengthBytes }) => {
      const skipped = Math.min(skipBytes, lengthBytes);
      skipBytes -= skipped;
      return skipped === lengthBytes
        ? []
        : [{ address: address + skipped, lengthBytes: lengthBytes - skipped }];
    });
  }

  /** Counts bytes that somebody else has put there. */
  advance(lengthBytes: number): void {
    this.#receivedBytes += lengthBytes;
  }

  add(chunk: Uint8Array): void {
    const receivedBytes = this.#receivedBytes + chunk.byteLength;
    if (receivedBytes > this.#lengthBytes) throw wrongLength(receivedBytes, this.#lengthBytes);
    let done = 0;
    for (const segment of chunk.byteLength === 0 ? [] : this.#rest()) {
      const part = chunk.subarray(done, done + segment.lengthBytes);
      viewOf(this.#memory, segment).set(part);
      done += part.byteLength;
      if (done === chunk.byteLength) break;
    }
    this.#receivedBytes = receivedBytes;
  }
}

function wrongLength(receivedBytes: number, bodyBytes: number): DriveError {
  return new DriveError(
    'usage',
    `The body has ${receivedBytes} bytes, not the ${bodyBytes} of its Content-Length.`,
  );
}

function trimmed(segments: readonly Segment[], lengthBytes: number): Segment[] {
  let rest = lengthBytes;
  return segments.map((segment) => {
    const part = Math.min(segment.lengthBytes, rest);
    rest -= part;
    return { address: segment.address, lengthBytes: part };
  });
}
