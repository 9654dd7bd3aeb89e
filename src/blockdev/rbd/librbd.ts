import koffi from 'koffi';
import type { Range } from '../block-device.ts';
import { loadCephLibrary } from './ceph-library.ts';
import { IMAGE_FEATURES, OBJECT_ORDER } from './image-layout.ts';
import type { IoContext } from './librados.ts';
import { listed } from './listed.ts';
import { checkedRados } from './rados-error.ts';

/** An open image, by its address in the process. */
export type Image = number;

/** What is done with images as a whole. Errors are those of the operating system, with the name of the call. */
export interface Librbd {
  /** Makes an image that takes no space and reads as zeros. EEXIST when there is one of this name. */
  create(pool: IoContext, name: string, sizeBytes: number): void;
  /** ENOENT when there is none, EBUSY while somebody has it open for writing. */
  remove(pool: IoContext, name: string): void;
  list(pool: IoContext): readonly string[];
  open(pool: IoContext, name: string, access: 'read-only' | 'read-write'): Image;
  close(image: Image): void;
  sizeOf(image: Image): number;
  resize(image: Image, sizeBytes: number): void;
  /** Calls with each stretch of the range that may hold data, or is known not to, in order. */
  eachExtent(image: Image, range: Range, take: (extent: Range, isData: boolean) => void): void;
}

/** What lists are first asked for with; more is asked for as it turns out to be needed. */
const LIST_BYTES = 64 * 1024;

/** Binds librbd. Throws like `loadCephLibrary`. */
export function loadLibrbd(): Librbd {
  const calls = bindCalls();
  const { extentCallback, ...images } = calls;
  return {
    create(pool, name, sizeBytes) {
      const order = new Int32Array([OBJECT_ORDER]);
      checkedRados('rbd_create', images.create(pool, name, sizeBytes, IMAGE_FEATURES, order));
    },
    remove: (pool, name) => void checkedRados('rbd_remove', images.remove(pool, name)),
    list: (pool) => listImages(images.list, pool),
    open(pool, name, access) {
      const image = new BigUint64Array(1);
      const open = access === 'read-only' ? images.openReadOnly : images.open;
      checkedRados('rbd_open', open(pool, name, image, null));
      return Number(image[0]);
    },
    close: (image) => void images.close(image),
    sizeOf(image) {
      const size = new BigUint64Array(1);
      checkedRados('rbd_get_size', images.sizeOf(image, size));
      return Number(size[0]);
    },
    resize: (image, sizeBytes) => void checkedRados('rbd_resize', images.resize(image, sizeBytes)),
    eachExtent(image, { offsetBytes, lengthBytes }, take) {
      const callback = koffi.register((at: number, length: number, isData: number) => {
        take({ offsetBytes: Number(at), lengthBytes: Number(length) }, isData !== 0);
        return 0;
      }, extentCallback);
      try {
        const result = images.diff(image, null, offsetBytes, lengthBytes, 1, 0, callback, null);
        checkedRados('rbd_diff_iterate2', result);
      } finally {
        koffi.unregister(callback);
      }
    },
  };
}

type Call = (...args: readonly unknown[]) => number;

function bindCalls() {
  const lib = loadCephLibrary('librbd.so.1');
  const extent = koffi.proto('int(uint64_t, size_t, int, void *)');
  return {
    extentCallback: koffi.pointer(extent),
    create: lib.func('int rbd_create2(uintptr_t, const char *, uint64_t, uint64_t, void *)'),
    remove: lib.func('int rbd_remove(uintptr_t, const char *)'),
    list: lib.func('int rbd_list(uintptr_t, void *, void *)'),
    open: lib.func('int rbd_open(uintptr_t, const char *, void *, const char *)'),
    openReadOnly: lib.func('int rbd_open_read_only(uintptr_t, const char *, void *, const char *)'),
    close: lib.func('int rbd_close(uintptr_t)'),
    sizeOf: lib.func('int rbd_get_size(uintptr_t, void *)'),
    resize: lib.func('int rbd_resize(uintptr_t, uint64_t)'),
    diff: lib.func('rbd_diff_iterate2', 'int', [
      'uintptr_t',
      'const char *',
      'uint64_t',
      'uint64_t',
      'uint8_t',
      'uint8_t',
      koffi.pointer(extent),
      'void *',
    ]) as Call,
  };
}

function listImages(list: Call, pool: IoContext): readonly string[] {
  return listed('rbd_list', [LIST_BYTES], (size) => {
    const names = Buffer.alloc(Number(size[0]));
    const result = list(pool, names, size);
    // The names, each with a zero byte behind it.
    const read = (): string[] => names.subarray(0, result).toString('utf8').split('\0').slice(0, -1);
    return { result, read };
  });
}
