import { preferHugePages } from '../runtime/huge-pages.ts';
import type { Range } from '../blockdev/block-device.ts';

/** The unit in which data moves between threads: small enough to stay in a core's cache on its way. */
export const PIECE_BYTES = 1024 * 1024;

/** A stretch of the arena, lent to one request. */
export interface Segment {
  /** Offset in the arena's memory, which is also its WebAssembly address. */
  readonly address: number;
  readonly lengthBytes: number;
}

/** Pieces of the arena, lent until `release`. */
export interface Loan {
  /** Adjacent pieces are one segment; in ascending order. */
  readonly segments: readonly Segment[];
  /** Gives everything back; a second call is a mistake and throws. */
  release(): void;
}

/**
 * The one memory that file I/O, ciphers and sockets of all threads work on, so that data is not copied on its way.
 * It is a shared WebAssembly memory, because the cipher's code addresses it directly.
 */
export interface Arena {
  readonly memory: WebAssembly.Memory;
  /** Sets memory apart for as long as the process lives: scratch space of a thread. */
  reserve(lengthBytes: number): Segment;
  /** Gives back what `reserve` set apart, for the next one of the same length. */
  unreserve(segment: Segment): void;
}

const WASM_PAGE_BYTES = 65536;

/** Makes an arena; the system gives memory to it only as it is touched. */
export function createArena(totalBytes: number): Arena {
  const pages = Math.ceil(totalBytes / WASM_PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  preferHugePages(memory.buffer as SharedArrayBuffer);
  const spare: Segment[] = [];
  // The first page stays unused, so that no segment has the address that means nothing.
  let end = WASM_PAGE_BYTES;
  return {
    memory,
    reserve(lengthBytes) {
      const again = spare.findIndex((segment) => segment.lengthBytes === lengthBytes);
      const [found] = again === -1 ? [] : spare.splice(again, 1);
      if (found !== undefined) return found;
      if (end + lengthBytes > pages * WASM_PAGE_BYTES) {
        throw new Error(
          `The buffer memory of ${pages * WASM_PAGE_BYTES} bytes is used up: raise buffer_memory.`,
        );
      }
      const segment = { address: end, lengthBytes };
      end += Math.ceil(lengthBytes / WASM_PAGE_BYTES) * WASM_PAGE_BYTES;
      return segment;
    },
    unreserve(segment) {
      spare.push(segment);
    },
  };
}

/** A view of a segment, or of the part of it that a range names. */
export function viewOf(memory: WebAssembly.Memory, segment: Segment, part?: Range): Buffer {
  const { offsetBytes, lengthBytes } = part ?? { offsetBytes: 0, lengthBytes: segment.lengthBytes };
  if (offsetBytes + lengthBytes > segment.lengthBytes)
    throw new RangeError('The view is larger than its segment.');
  return Buffer.from(memory.buffer, segment.address + offsetBytes, lengthBytes);
}
