import koffi from 'koffi';
import { addressOf } from './memory-address.ts';

const MADV_HUGEPAGE = 14;

/**
 * Asks the system for large pages under a buffer: fewer of them have to be handed out, looked up and, for direct I/O,
 * pinned. A wish that it may not grant, and nothing else changes when it does not.
 */
export function preferHugePages(buffer: ArrayBufferLike): void {
  const madvise = koffi.load(null).func('int madvise(uintptr_t, size_t, int)') as (
    address: number,
    lengthBytes: number,
    advice: number,
  ) => number;
  madvise(addressOf(buffer), buffer.byteLength, MADV_HUGEPAGE);
}
