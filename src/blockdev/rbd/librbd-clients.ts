import koffi from 'koffi';
import { loadCephLibrary } from './ceph-library.ts';
import type { Image } from './librbd.ts';
import { listed } from './listed.ts';
import { checkedRados } from './rados-error.ts';

/** What librbd knows of those that have an image open. Errors are those of the operating system, with the name of the call. */
export interface LibrbdClients {
  /** The image's id, by which Ceph names all that belongs to it. */
  idOf(image: Image): string;
  /** The addresses of all who have it open for writing, one for each opening. */
  watchersOf(image: Image): readonly string[];
  /** The address of who holds the image's exclusive lock, or held it when it was last heard of; nothing without one. */
  lockOwnersOf(image: Image): readonly string[];
  /** Whether an opening has to hold the exclusive lock to write, which it takes by itself. Nothing happens when it is so already. */
  setExclusiveLock(image: Image, isOn: boolean): void;
}

// From rbd/features.h.
const EXCLUSIVE_LOCK = 4;
/** An id is less than this. */
const MAX_ID_BYTES = 256;
/** What lists are first asked for with; more is asked for as it turns out to be needed. */
const FIRST_WATCHERS = 16;
const FIRST_TEXT_BYTES = 1024;
// struct rbd_image_watcher_t of rbd/librbd.h: address, id and cookie.
const WATCHER_BYTES = 24;

/** Binds what is needed of librbd. Throws like `loadCephLibrary`. */
export function loadLibrbdClients(): LibrbdClients {
  const calls = bindCalls();
  return {
    idOf(image) {
      const id = Buffer.alloc(MAX_ID_BYTES);
      checkedRados('rbd_get_id', calls.idOf(image, id, MAX_ID_BYTES));
      return firstText(id);
    },
    watchersOf: (image) => listWatchers(calls, image),
    lockOwnersOf: (image) => listLockers(calls.lockersOf, image),
    setExclusiveLock(image, isOn) {
      const features = new BigUint64Array(1);
      checkedRados('rbd_get_features', calls.featuresOf(image, features));
      const isOnNow = (Number(features[0]) & EXCLUSIVE_LOCK) !== 0;
      if (isOnNow === isOn) return;
      checkedRados('rbd_update_features', calls.updateFeatures(image, EXCLUSIVE_LOCK, isOn ? 1 : 0));
    },
  };
}

type Call = (...args: readonly unknown[]) => number;

type Calls = ReturnType<typeof bindCalls>;

function bindCalls(): Readonly<
  Record<'idOf' | 'watchersOf' | 'cleanWatchers' | 'lockersOf' | 'featuresOf' | 'updateFeatures', Call>
> {
  const lib = loadCephLibrary('librbd.so.1');
  const lists = Array.from({ length: 4 }, () => 'void *, void *').join(', ');
  return {
    idOf: lib.func('int rbd_get_id(uintptr_t, void *, size_t)'),
    watchersOf: lib.func('int rbd_watchers_list(uintptr_t, void *, void *)'),
    cleanWatchers: lib.func('void rbd_watchers_list_cleanup(void *, size_t)'),
    lockersOf: lib.func(`intptr_t rbd_list_lockers(uintptr_t, void *, ${lists})`),
    featuresOf: lib.func('int rbd_get_features(uintptr_t, void *)'),
    updateFeatures: lib.func('int rbd_update_features(uintptr_t, uint64_t, uint8_t)'),
  };
}

function listWatchers({ watchersOf, cleanWatchers }: Calls, image: Image): readonly string[] {
  return listed('rbd_watchers_list', [FIRST_WATCHERS], (count) => {
    const entries = new Uint8Array(Number(count[0]) * WATCHER_BYTES);
    const result = watchersOf(image, entries, count);
    const read = (): string[] => {
      const found = Array.from({ length: Number(count[0]) }, (_, index) =>
        String(koffi.decode(entries, index * WATCHER_BYTES, 'const char *')),
      );
      cleanWatchers(entries, found.length);
      return found;
    };
    return { result, read };
  });
}

/** The call answers a tag, and of each locker its name, cookie and address: four texts, each with its own room. */
function listLockers(lockersOf: Call, image: Image): readonly string[] {
  const firstRooms = Array.from({ length: 4 }, () => FIRST_TEXT_BYTES);
  return listed('rbd_list_lockers', firstRooms, (rooms) => {
    const lists = Array.from(rooms, (room) => Buffer.alloc(Number(room)));
    const args = lists.flatMap((text, index) => [text, rooms.subarray(index, index + 1)]);
    const result = lockersOf(image, new Int32Array(1), ...args);
    return { result, read: () => texts(lists[3] ?? Buffer.alloc(0), result) };
  });
}

/** Texts one after the other, each with a zero byte behind it. */
function texts(bytes: Buffer, count: number): readonly string[] {
  return bytes.toString('utf8').split('\0').slice(0, count);
}

function firstText(bytes: Buffer): string {
  return texts(bytes, 1)[0] ?? '';
}
