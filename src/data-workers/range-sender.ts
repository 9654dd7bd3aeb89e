import type { Range } from '../blockdev/block-device.ts';
import type { Segment } from './arena.ts';
import type { SocketCalls } from '../runtime/socket-calls.ts';
import { reviveFailure } from './data-failure.ts';
import type { PieceLender } from './piece-lender.ts';
import type { Operations, SentRange } from './protocol.ts';
import { newSendTurn, SEND_TURN_BYTES } from './send-turn.ts';
import type { SendTurn } from './send-turn.ts';
import type { Sending, SentPart, SocketOutput } from './volumes.ts';

/** What a sender works with. */
export interface RangeSenderParts {
  readonly memory: WebAssembly.Memory;
  readonly lender: PieceLender;
  /** How much of the range is read at a time, in pieces, as far as the memory has them side by side. */
  readonly pieceCount: number;
  readonly sockets: Pick<SocketCalls, 'duplicate' | 'close'>;
  /** Has a data thread send. */
  readonly sendInThread: (
    request: Omit<Operations['send']['request'], 'volumeName'>,
  ) => Promise<Operations['send']['result']>;
}

const NOTHING: SentPart = { isHeadSent: false, sentBytes: 0, isCut: false, failure: null };

/** Has a data thread send a range to a socket, in memory that is borrowed for it; see `Volumes.send`. */
export function sendRange(parts: RangeSenderParts, range: Range, socket: SocketOutput): Sending {
  let isTakenBack = false;
  let turn: SendTurn | null = null;
  const send = async (): Promise<SentPart> => {
    const loan = await parts.lender.borrow(parts.pieceCount);
    const own = isTakenBack ? null : duplicated(parts, socket);
    try {
      if (own === null) return NOTHING;
      const { address, lengthBytes: segmentBytes } = longest(loan.segments);
      const lengthBytes = segmentBytes - SEND_TURN_BYTES;
      const through = { address, lengthBytes };
      const word = { address: address + lengthBytes, lengthBytes: SEND_TURN_BYTES };
      turn = newSendTurn(parts.memory, word);
      const { head } = socket;
      const sent = await parts.sendInThread({ range, descriptor: own, head, through, turn: word });
      return sentPart(sent, head.byteLength);
    } finally {
      if (own !== null) parts.sockets.close(own);
      loan.release();
    }
  };
  return {
    done: send(),
    takeBack() {
      isTakenBack = true;
      return turn === null || turn.takeBack();
    },
  };
}

function longest(segments: readonly Segment[]): Segment {
  return segments.reduce((most, segment) => (segment.lengthBytes > most.lengthBytes ? segment : most));
}

/** A second descriptor of the socket; null when the client is gone, or when the process may have no more of them. */
function duplicated({ sockets }: RangeSenderParts, socket: SocketOutput): number | null {
  const descriptor = socket.descriptor();
  if (descriptor === null) return null;
  try {
    return sockets.duplicate(descriptor);
  } catch {
    // The range is then sent the ordinary way, which needs none.
    return null;
  }
}

/** @throws what kept the drive from being read at all */
function sentPart({ sentBytes, isBroken, failure }: SentRange, headBytes: number): SentPart {
  const error = failure === null ? null : reviveFailure(failure);
  if (sentBytes === 0 && error !== null) throw error;
  const isHeadSent = sentBytes >= headBytes;
  const isCut = isBroken || (sentBytes > 0 && !isHeadSent);
  return { isHeadSent, sentBytes: Math.max(0, sentBytes - headBytes), isCut, failure: error };
}
