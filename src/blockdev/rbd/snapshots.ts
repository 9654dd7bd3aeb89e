import koffi from 'koffi';
import { loadCephLibrary } from './ceph-library.ts';
import { IMAGE_FEATURES, OBJECT_ORDER } from './image-layout.ts';
import type { IoContext } from './librados.ts';
import type { Image } from './librbd.ts';
import { listed } from './listed.ts';
import { checkedRados } from './rados-error.ts';

/**
 * What clones of images are made with. An image that snapshots are made of is open for writing. Errors are those of the operating
 * system, with the name of the call.
 */
export interface SnapshotCalls {
  create(image: Image, snapshot: string): void;
  /** One that has clones goes out of sight, and is gone with the last of them. Nothing happens when there is none. */
  remove(image: Image, snapshot: string): void;
  /** Those that are in sight, and others by names of Ceph's own making. */
  list(image: Image): readonly string[];
  /** Makes an image that reads as the snapshot until it is written to. */
  clone(pool: IoContext, source: { image: string; snapshot: string }, target: string): void;
  /** How much of the image, from its beginning, can still come from the one that it is a clone of; 0 when it is none. */
  overlapBytes(image: Image): number;
  /** What was noted of the image, a short text; null when nothing was. */
  note(image: Image, key: string): string | null;
  setNote(image: Image, key: string, text: string): void;
}

// From rbd/librbd.h.
const OPTION_FEATURES = 1;
const OPTION_ORDER = 2;
const OPTION_CLONE_FORMAT = 12;
/** Clones of this format need no protected snapshots, and their parents can be removed before them. */
const CLONE_FORMAT = 2;
// struct rbd_snap_info_t: id, size, and name.
const SNAPSHOT_ENTRY_BYTES = 24;
const SNAPSHOT_NAME_AT = 16;
/** What lists are first asked for with; more is asked for as it turns out to be needed. */
const LIST_SNAPSHOTS = 64;
const NOTE_BYTES = 64;

/** Binds the calls. Throws like `loadCephLibrary`. */
export function loadSnapshotCalls(): SnapshotCalls {
  const calls = bindCalls();
  return {
    create: (image, snapshot) => void checkedRados('rbd_snap_create', calls.create(image, snapshot)),
    remove: (image, snapshot) =>
      void checkedRados('rbd_snap_remove', calls.remove(image, snapshot), 'ENOENT'),
    list: (image) => listSnapshots(calls, image),
    clone(pool, { image, snapshot }, target) {
      const options = cloneOptions(calls);
      try {
        checkedRados('rbd_clone3', calls.clone(pool, image, snapshot, pool, target, options));
      } finally {
        calls.destroyOptions(options);
      }
    },
    overlapBytes(image) {
      const overlap = new BigUint64Array(1);
      const result = checkedRados('rbd_get_overlap', calls.overlap(image, overlap), 'ENOENT');
      return result < 0 ? 0 : Number(overlap[0]);
    },
    note(image, key) {
      const text = Buffer.alloc(NOTE_BYTES);
      const size = new BigUint64Array([BigInt(NOTE_BYTES)]);
      const result = checkedRados('rbd_metadata_get', calls.getNote(image, key, text, size), 'ENOENT');
      return result < 0 ? null : text.subarray(0, text.indexOf(0)).toString('utf8');
    },
    setNote: (image, key, text) => void checkedRados('rbd_metadata_set', calls.setNote(image, key, text)),
  };
}

type Call = (...args: readonly unknown[]) => number;
type Calls = ReturnType<typeof bindCalls>;

function bindCalls() {
  const lib = loadCephLibrary('librbd.so.1');
  return {
    create: lib.func('int rbd_snap_create(uintptr_t, const char *)') as Call,
    remove: lib.func('int rbd_snap_remove(uintptr_t, const char *)') as Call,
    list: lib.func('int rbd_snap_list(uintptr_t, void *, void *)') as Call,
    endList: lib.func('void rbd_snap_list_end(void *)') as Call,
    clone: lib.func(
      'int rbd_clone3(uintptr_t, const char *, const char *, uintptr_t, const char *, uintptr_t)',
    ) as Call,
    createOptions: lib.func('void rbd_image_options_create(void *)') as Call,
    destroyOptions: lib.func('void rbd_image_options_destroy(uintptr_t)') as Call,
    setOption: lib.func('int rbd_image_options_set_uint64(uintptr_t, int, uint64_t)') as Call,
    overlap: lib.func('int rbd_get_overlap(uintptr_t, void *)') as Call,
    getNote: lib.func('int rbd_metadata_get(uintptr_t, const char *, void *, void *)') as Call,
    setNote: lib.func('int rbd_metadata_set(uintptr_t, const char *, const char *)') as Call,
  };
}

/** Without options an image would get the features that Ceph's configuration names. */
function cloneOptions({ createOptions, setOption }: Calls): number {
  const address = new BigUint64Array(1);
  createOptions(address);
  const options = Number(address[0]);
  setOption(options, OPTION_FEATURES, IMAGE_FEATURES);
  setOption(options, OPTION_ORDER, OBJECT_ORDER);
  setOption(options, OPTION_CLONE_FORMAT, CLONE_FORMAT);
  return options;
}

function listSnapshots({ list, endList }: Calls, image: Image): readonly string[] {
  // The call takes an int for the room, which is the lower half of the word.
  return listed('rbd_snap_list', [LIST_SNAPSHOTS], (room) => {
    const entries = new Uint8Array(Number(room[0]) * SNAPSHOT_ENTRY_BYTES);
    const result = list(image, entries, room);
    const read = (): string[] => {
      const names = Array.from({ length: result }, (_, index) =>
        String(koffi.decode(entries, index * SNAPSHOT_ENTRY_BYTES + SNAPSHOT_NAME_AT, 'const char *')),
      );
      if (result > 0) endList(entries);
      return names;
    };
    return { result, read };
  });
}
