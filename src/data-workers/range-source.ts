import type { BlockDevice, Range } from '../blockdev/block-device.ts';
import type { SpanSource } from './socket-transfer.ts';

/** What is read and sent at a time: small enough to stay in the core's cache between the two. */
export const SEND_STEP_BYTES = 256 * 1024;
/** The longest head that fits before the first step in the memory of one piece. */
export const MAX_HEAD_BYTES = 16 * 1024;

/** A range to be sent, and the memory to send it through. */
export interface RangeToSend {
  readonly range: Range;
  /** What is sent before the range. */
  readonly head: Uint8Array;
  /** Room for the head and `SEND_STEP_BYTES`; `address` is its address in the process. */
  readonly view: Uint8Array;
  readonly address: number;
}

/**
 * Reads a range step by step, the head before it together with the first step, so that an error of the disk is known
 * before an answer is begun. The device must be one that does not answer with promises.
 */
export function rangeSource(device: BlockDevice, { range, head, view, address }: RangeToSend): SpanSource {
  if (head.byteLength > MAX_HEAD_BYTES)
    throw new RangeError(`A head of ${head.byteLength} bytes is too long.`);
  const end = range.offsetBytes + range.lengthBytes;
  let offsetBytes = range.offsetBytes;
  let isFirst = true;
  // Over a network one large read takes less time than many small ones, and no core has it in its cache.
  const mostBytes = device.isRemote === true ? view.byteLength - head.byteLength : SEND_STEP_BYTES;
  return () => {
    if (offsetBytes >= end) return null;
    const start = isFirst ? head.byteLength : 0;
    const lengthBytes = Math.min(mostBytes, end - offsetBytes);
    const reading = device.read(offsetBytes, view.subarray(start, start + lengthBytes));
    if (reading instanceof Promise)
      throw new Error('A device that answers with promises cannot be sent from.');
    if (isFirst) view.set(head);
    isFirst = false;
    offsetBytes += lengthBytes;
    return { address, lengthBytes: start + lengthBytes };
  };
}
