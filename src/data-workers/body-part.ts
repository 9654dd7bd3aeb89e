import { viewOf } from './arena.ts';
import type { Segment } from './arena.ts';
import type { ReceivedPart } from './protocol.ts';
import type { SocketLoop } from './socket-loop.ts';
import { receiveInto } from './socket-transfer.ts';

interface BodyPart {
  readonly loop: SocketLoop;
  readonly memory: WebAssembly.Memory;
  /** The address in the process of the first byte of the memory. */
  readonly baseAddress: number;
  readonly descriptor: number;
  readonly segments: readonly Segment[];
  /** What is in the segments already. */
  readonly filledBytes: number;
  /** What is received, and then encrypted, at a time. */
  readonly pieceBytes: number;
  /** Encrypts a part of the body that is complete, `atBytes` from its beginning, where it is. */
  readonly encrypt?: (atBytes: number, part: Uint8Array) => void;
}

/** A piece of the body that is encrypted as soon as it is full, while it is in the core's cache. */
interface BodyPiece extends Segment {
  readonly atBytes: number;
}

/** Receives what is still to come of a body, as far as the client sends it without being waited for. */
export async function receiveBodyPart(part: BodyPart): Promise<ReceivedPart> {
  const { loop, memory, baseAddress, descriptor, filledBytes, encrypt } = part;
  const pieces = piecesOf(part.segments, part.pieceBytes);
  let encryptedBytes = 0;
  const finish = (piece: BodyPiece | undefined): void => {
    if (encrypt === undefined || piece === undefined) return;
    encrypt(piece.atBytes, viewOf(memory, piece));
    encryptedBytes = piece.atBytes + piece.lengthBytes;
  };
  const missing = pieces.filter((piece) => {
    const isFull = piece.atBytes + piece.lengthBytes <= filledBytes;
    if (isFull) finish(piece);
    return !isFull;
  });
  const spans = missing.map(({ address, lengthBytes, atBytes }) => {
    const skipBytes = Math.max(0, filledBytes - atBytes);
    return { address: baseAddress + address + skipBytes, lengthBytes: lengthBytes - skipBytes };
  });
  const onFull = (index: number): void => finish(missing[index]);
  const receivedBytes = await receiveInto(loop, descriptor, { spans, onFull });
  return { receivedBytes, encryptedBytes };
}

function piecesOf(segments: readonly Segment[], pieceBytes: number): BodyPiece[] {
  const pieces: BodyPiece[] = [];
  let atBytes = 0;
  for (const { address, lengthBytes } of segments) {
    for (let done = 0; done < lengthBytes; done += pieceBytes) {
      const piece = Math.min(pieceBytes, lengthBytes - done);
      pieces.push({ address: address + done, lengthBytes: piece, atBytes });
      atBytes += piece;
    }
  }
  return pieces;
}
