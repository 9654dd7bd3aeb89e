import koffi from 'koffi';
import type { Range } from '../block-device.ts';
import { loadCephLibrary } from './ceph-library.ts';
import type { Image } from './librbd.ts';
import { checkedRados } from './rados-error.ts';

/** One request on its way to the cluster, by its address in the process. */
export type Completion = number;

/**
 * Requests on images, which the cluster works on while the thread goes on. Memory that is given stays as it is until the
 * request is complete.
 */
export interface ImageCalls {
  read(image: Image, offsetBytes: number, into: Uint8Array): Completion;
  write(image: Image, offsetBytes: number, from: Uint8Array): Completion;
  /** Writes only if what is there is `before`; EILSEQ otherwise. Both are of one length, within one sector: librbd takes no more. */
  compareAndWrite(
    image: Image,
    offsetBytes: number,
    request: { before: Uint8Array; after: Uint8Array; mismatch: Uint8Array },
  ): Completion;
  discard(image: Image, range: Range): Completion;
  writeZeroes(image: Image, range: Range): Completion;
  flush(image: Image): Completion;
  isComplete(completion: Completion): boolean;
  /** The result of a complete request, which is forgotten: bytes or 0, or the negative number of an error. */
  take(completion: Completion): number;
  /** The same of a request that is complete, or is in this very moment: nothing else is waited for. */
  takeEnded(completion: Completion): number;
  /** Has the descriptor, of `eventfd`, signalled whenever a request of the image is complete. */
  notify(image: Image, descriptor: number): void;
  takeEvents(image: Image): TakenEvents;
  /** Waits until the descriptor is signalled, at most this long. */
  waitFor(descriptor: number, timeoutMs: number): void;
}

/** Requests that have become complete since the last look, and whether there may be more. Of those to come the signal tells. */
export interface TakenEvents {
  readonly completions: readonly Completion[];
  readonly hasMore: boolean;
}

const EVENT_TYPE_EVENTFD = 2;
const MAX_EVENTS = 64;
const POLLIN = 1;

/** Binds the calls. Throws like `loadCephLibrary`. */
export function loadImageCalls(): ImageCalls {
  const calls = bindCalls();
  const word = new BigUint64Array(1);
  const events = new BigUint64Array(MAX_EVENTS);
  // struct pollfd: the descriptor, and what is waited for.
  const poll = new DataView(new ArrayBuffer(8));
  const pollBytes = new Uint8Array(poll.buffer);
  poll.setInt16(4, POLLIN, true);

  function begin(name: string, submit: (completion: Completion) => number): Completion {
    checkedRados('rbd_aio_create_completion', calls.create(null, null, word));
    const completion = Number(word[0]);
    const result = submit(completion);
    if (result < 0) calls.release(completion);
    checkedRados(name, result);
    return completion;
  }

  function take(completion: Completion): number {
    const result = Number(calls.result(completion));
    calls.release(completion);
    return result;
  }

  return {
    read: (image, offsetBytes, into) =>
      begin('rbd_aio_read', (completion) =>
        calls.read(image, offsetBytes, into.byteLength, into, completion),
      ),
    write: (image, offsetBytes, from) =>
      begin('rbd_aio_write', (completion) =>
        calls.write(image, offsetBytes, from.byteLength, from, completion),
      ),
    compareAndWrite: (image, offsetBytes, { before, after, mismatch }) =>
      begin('rbd_aio_compare_and_write', (completion) =>
        calls.compareAndWrite(image, offsetBytes, after.byteLength, before, after, completion, mismatch, 0),
      ),
    discard: (image, { offsetBytes, lengthBytes }) =>
      begin('rbd_aio_discard', (completion) => calls.discard(image, offsetBytes, lengthBytes, completion)),
    writeZeroes: (image, { offsetBytes, lengthBytes }) =>
      begin('rbd_aio_write_zeroes', (completion) =>
        calls.writeZeroes(image, offsetBytes, lengthBytes, completion, 0, 0),
      ),
    flush: (image) => begin('rbd_aio_flush', (completion) => calls.flush(image, completion)),
    isComplete: (completion) => calls.isComplete(completion) !== 0,
    take,
    takeEnded(completion) {
      calls.waitForComplete(completion);
      return take(completion);
    },
    notify: (image, descriptor) =>
      void checkedRados('rbd_set_image_notification', calls.notify(image, descriptor, EVENT_TYPE_EVENTFD)),
    takeEvents(image) {
      const count = checkedRados('rbd_poll_io_events', calls.poll(image, events, MAX_EVENTS));
      const completions = Array.from(events.subarray(0, count), Number);
      return { completions, hasMore: count === MAX_EVENTS };
    },
    waitFor(descriptor, timeoutMs) {
      poll.setInt32(0, descriptor, true);
      calls.wait(pollBytes, 1, timeoutMs);
    },
  };
}

type Call = (...args: readonly unknown[]) => number;

function bindCalls(): Readonly<
  Record<
    | 'create'
    | 'release'
    | 'isComplete'
    | 'waitForComplete'
    | 'result'
    | 'read'
    | 'write'
    | 'compareAndWrite'
    | 'discard'
    | 'writeZeroes'
    | 'flush'
    | 'notify'
    | 'poll'
    | 'wait',
    Call
  >
> {
  const lib = loadCephLibrary('librbd.so.1');
  return {
    create: lib.func('int rbd_aio_create_completion(void *, void *, void *)'),
    release: lib.func('void rbd_aio_release(uintptr_t)'),
    isComplete: lib.func('int rbd_aio_is_complete(uintptr_t)'),
    waitForComplete: lib.func('int rbd_aio_wait_for_complete(uintptr_t)'),
    result: lib.func('int64_t rbd_aio_get_return_value(uintptr_t)'),
    read: lib.func('int rbd_aio_read(uintptr_t, uint64_t, size_t, void *, uintptr_t)'),
    write: lib.func('int rbd_aio_write(uintptr_t, uint64_t, size_t, void *, uintptr_t)'),
    compareAndWrite: lib.func('rbd_aio_compare_and_write', 'int', [
      'uintptr_t',
      'uint64_t',
      'size_t',
      'void *',
      'void *',
      'uintptr_t',
      'void *',
      'int',
    ]) as Call,
    discard: lib.func('int rbd_aio_discard(uintptr_t, uint64_t, uint64_t, uintptr_t)'),
    writeZeroes: lib.func('int rbd_aio_write_zeroes(uintptr_t, uint64_t, size_t, uintptr_t, int, int)'),
    flush: lib.func('int rbd_aio_flush(uintptr_t, uintptr_t)'),
    notify: lib.func('int rbd_set_image_notification(uintptr_t, int, int)'),
    poll: lib.func('int rbd_poll_io_events(uintptr_t, void *, int)'),
    wait: koffi.load(null).func('int poll(void *, unsigned long, int)'),
  };
}
