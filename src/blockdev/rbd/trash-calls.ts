import koffi from 'koffi';
import { loadCephLibrary } from './ceph-library.ts';
import type { IoContext } from './librados.ts';
import type { Image } from './librbd.ts';
import { loadLibrbdClients } from './librbd-clients.ts';
import { listed } from './listed.ts';
import { checkedRados } from './rados-error.ts';

/** An image that was removed, though somebody may still have it open, or it may have clones. */
export interface TrashedImage {
  readonly id: string;
  readonly name: string;
}

/** What is done with Ceph's trash. Errors are those of the operating system, with the name of the call. */
export interface TrashCalls {
  /** Takes an image out of its pool's list, though it is open somewhere or has clones. */
  put(pool: IoContext, name: string): void;
  list(pool: IoContext): readonly TrashedImage[];
  /** What an open image is known by in the trash. */
  idOf(image: Image): string;
  /** Opens it for writing; null when that is not possible, as when it is damaged, or is there no more. */
  open(pool: IoContext, id: string): Image | null;
  /** How many have this image open for writing, whoever has opened it here included. */
  openCount(image: Image): number;
  /** False when that is not possible now: somebody has it open still, it has clones, another node is at it, or it is damaged. */
  remove(pool: IoContext, id: string): boolean;
}

/** What lists are first asked for with; more is asked for as it turns out to be needed. */
const LIST_TRASH = 64;
// struct rbd_trash_image_info_t of rbd/librbd.h: id, name, source, and two times.
const TRASH_ENTRY_BYTES = 40;

/** Binds the calls. Throws like `loadCephLibrary`. */
export function loadTrashCalls(): TrashCalls {
  const calls = bindCalls();
  const clients = loadLibrbdClients();
  return {
    put: (pool, name) => void checkedRados('rbd_trash_move', calls.put(pool, name, 0)),
    list: (pool) => listTrash(calls, pool),
    idOf: (image) => clients.idOf(image),
    open(pool, id) {
      const image = new BigUint64Array(1);
      return calls.open(pool, id, image, null) < 0 ? null : Number(image[0]);
    },
    openCount: (image) => clients.watchersOf(image).length,
    remove: (pool, id) => calls.remove(pool, id, false) >= 0,
  };
}

type Call = (...args: readonly unknown[]) => number;
type Calls = ReturnType<typeof bindCalls>;

function bindCalls() {
  const lib = loadCephLibrary('librbd.so.1');
  return {
    put: lib.func('int rbd_trash_move(uintptr_t, const char *, uint64_t)') as Call,
    list: lib.func('int rbd_trash_list(uintptr_t, void *, void *)') as Call,
    cleanList: lib.func('void rbd_trash_list_cleanup(void *, size_t)') as Call,
    open: lib.func('int rbd_open_by_id(uintptr_t, const char *, void *, const char *)') as Call,
    remove: lib.func('int rbd_trash_remove(uintptr_t, const char *, bool)') as Call,
  };
}

function listTrash({ list, cleanList }: Calls, pool: IoContext): readonly TrashedImage[] {
  return listed('rbd_trash_list', [LIST_TRASH], (size) => {
    const entries = new Uint8Array(Number(size[0]) * TRASH_ENTRY_BYTES);
    const result = list(pool, entries, size);
    const read = (): TrashedImage[] => {
      const count = Number(size[0]);
      const text = (index: number, at: number): string =>
        String(koffi.decode(entries, index * TRASH_ENTRY_BYTES + at, 'const char *'));
      const found = Array.from({ length: count }, (_, index) => ({
        id: text(index, 0),
        name: text(index, 8),
      }));
      cleanList(entries, count);
      return found;
    };
    return { result, read };
  });
}
