import { beforeEach, expect, test } from 'vitest';
import { GIB } from '../../core/sizes.ts';
import { systemError } from '../system-error.ts';
import { TrashSweeper } from './trash-sweeper.ts';

const NAME = 'drivebay-ab0b0c0d-1111-4222-8333-444455556666';

interface Trashed {
  sizeBytes: number;
  /** What becomes of an attempt to cut it. */
  failure?: Error;
  snapshots: readonly string[];
  openCount: number;
}

/** Images are known by the places of their ids; each step and each removal takes 400 ms. */
let nowMs: number;
let images: Map<string, Trashed>;
let done: string[];
let sweeper: TrashSweeper;

beforeEach(() => {
  nowMs = 0;
  images = new Map();
  done = [];
  const ids = (): string[] => [...images.keys()];
  const imageAt = (index: number): Trashed => {
    const image = images.get(ids()[index] ?? '');
    if (image === undefined) throw new Error('There is none.');
    return image;
  };
  const take = (what: string): void => {
    done.push(what);
    nowMs += 400;
  };
  const trash = {
    list: () => [...ids().map((id) => ({ id, name: NAME })), { id: 'foreign', name: 'somebody-else' }],
    open: (_pool: number, id: string) => (images.has(id) ? ids().indexOf(id) : null),
    openCount: (image: number) => imageAt(image).openCount + 1,
    remove(_pool: number, id: string) {
      take(`remove ${id}`);
      return false;
    },
  };
  const librbd = {
    close: () => undefined,
    sizeOf: (image: number) => imageAt(image).sizeBytes,
    resize(image: number, sizeBytes: number) {
      const { failure } = imageAt(image);
      if (failure !== undefined) throw failure;
      take(`cut ${ids()[image]} to ${sizeBytes / GIB}`);
      imageAt(image).sizeBytes = sizeBytes;
    },
  };
  const snapshots = { list: (image: number) => imageAt(image).snapshots };
  sweeper = new TrashSweeper({ librbd, snapshots, trash }, () => nowMs);
});

function put(id: string, change: Partial<Trashed> = {}): void {
  images.set(id, { sizeBytes: GIB, snapshots: [], openCount: 0, ...change });
}

test('a sweep ends after a second, and the next one goes on behind it', () => {
  for (const id of ['c', 'a', 'd', 'b']) put(id);
  sweeper.sweep(1);
  expect(done).toEqual(['remove a', 'remove b', 'remove c']);
  sweeper.sweep(1);
  expect(done.slice(3)).toEqual(['remove d', 'remove a', 'remove b']);
});

test('a large image is cut step by step, over as many sweeps as that takes, and then removed', () => {
  put('a', { sizeBytes: 17 * GIB });
  sweeper.sweep(1);
  expect(done).toEqual(['cut a to 13', 'cut a to 9', 'cut a to 5']);
  sweeper.sweepNew(1, 'a');
  expect(done.slice(3)).toEqual(['cut a to 1', 'remove a']);
});

test('what somebody has open, or what has clones, stays as it is', () => {
  put('a', { sizeBytes: 17 * GIB, openCount: 1 });
  put('b', { snapshots: ['of a clone'] });
  put('c');
  sweeper.sweep(1);
  expect(done).toEqual(['remove c']);
});

test('what cannot be cut, as when another node is at it, keeps nobody from the rest; a mistake does', () => {
  put('a', { sizeBytes: 17 * GIB, failure: systemError('EBUSY', 'rbd_resize') });
  put('b');
  sweeper.sweep(1);
  expect(done).toEqual(['remove b']);
  put('a', { sizeBytes: 17 * GIB, failure: new TypeError('A mistake.') });
  expect(() => sweeper.sweep(1)).toThrow('A mistake.');
});
