import type { Segment } from './arena.ts';

const WAITING = 0;
const TAKEN = 1;
const TAKEN_BACK = 2;

/** What a turn takes of the memory that all threads share. */
export const SEND_TURN_BYTES = 4;

/**
 * Says once and for all whether something has begun, between a thread that is to begin it and one that may no longer
 * want it: only one of them gets the turn.
 */
export interface SendTurn {
  /** For the thread that begins; false when it must not. */
  take(): boolean;
  /** For the thread that waits; false when the other one has begun. */
  takeBack(): boolean;
}

/** A new turn, in a word of the memory that nobody else uses meanwhile. */
export function newSendTurn(memory: WebAssembly.Memory, segment: Segment): SendTurn {
  Atomics.store(wordOf(memory, segment), 0, WAITING);
  return sendTurn(memory, segment);
}

/** The turn that another thread has made in this word. */
export function sendTurn(memory: WebAssembly.Memory, segment: Segment): SendTurn {
  const word = wordOf(memory, segment);
  return {
    take: () => Atomics.compareExchange(word, 0, WAITING, TAKEN) === WAITING,
    takeBack: () => Atomics.compareExchange(word, 0, WAITING, TAKEN_BACK) !== TAKEN,
  };
}

function wordOf({ buffer }: WebAssembly.Memory, { address, lengthBytes }: Segment): Int32Array {
  if (lengthBytes < SEND_TURN_BYTES) throw new RangeError('A turn does not fit into its segment.');
  return new Int32Array(buffer, address, 1);
}
