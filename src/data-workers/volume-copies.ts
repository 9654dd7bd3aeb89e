import type { Range } from '../blockdev/block-device.ts';
import { PIECE_BYTES } from './arena.ts';
import type { Segment } from './arena.ts';
import type { DataThreadClient } from './data-thread-client.ts';
import type { PieceLender } from './piece-lender.ts';
import type { Pools } from './pools.ts';
import type { StoredVolume } from './volume.ts';

/** What one `copy` copies at most. */
export const COPY_BYTES = PIECE_BYTES;

/**
 * Copies of volumes as they are stored, from pool to pool, by the pools' own data threads.
 *
 * What changes a volume is done only in the life of the process that it was begun in; see `poolLife`.
 *
 * Errors: DriveError `system` while a pool is inactive, `full` when the target's pool has no room; otherwise those of the
 * operating system, unchanged.
 */
export interface VolumeCopies {
  /** The volume's size, and the stretches from an offset on that may hold data, as they are asked for. */
  stretches(volume: StoredVolume, fromBytes?: number): AsyncGenerator<Range>;
  sizeBytes(volume: StoredVolume): Promise<number>;
  /** Makes an empty volume, durably; one of this size is kept when `mayKeep`. Answers whether it was. */
  make(
    volume: StoredVolume,
    request: { sizeBytes: number; mayKeep: boolean; life: number },
  ): Promise<boolean>;
  /** Makes the range of the target what it is in the source, holes included; compared first, only what differs is written. */
  copy(request: CopyRequest): Promise<void>;
  /** Puts what was copied on stable storage. */
  sync(volume: StoredVolume, request: { life: number }): Promise<void>;
  /** Has every change of the volume marked; see `DataThreadGroup.track`. */
  track(volume: StoredVolume, changes: SharedArrayBuffer | null): Promise<void>;
  /** Closes what any of this has open of the volume, wherever it is. */
  close(volume: StoredVolume): Promise<void>;
}

export interface CopyRequest {
  readonly volumeName: string;
  readonly fromPool: string;
  readonly toPool: string;
  readonly life: number;
  /** At most `COPY_BYTES`. */
  readonly range: Range;
  readonly isCompared: boolean;
}

export function createVolumeCopies(options: {
  readonly pools: Pools;
  readonly lender: PieceLender;
}): VolumeCopies {
  const { pools, lender } = options;
  const threadOf = (poolName: string): DataThreadClient => pools.threadsOf(poolName).leastBusy();

  async function copyThrough(request: CopyRequest, segments: readonly Segment[]): Promise<void> {
    const { volumeName, fromPool, toPool, life, range } = request;
    const [segment, through = null] = halves(segments, range.lengthBytes);
    const data = await threadOf(fromPool).call('copyOut', { volumeName, range, into: segment });
    const dataBytes = data.reduce((sum, part) => sum + part.lengthBytes, 0);
    const done = await pools.admit(toPool, dataBytes);
    let writtenBytes = 0;
    try {
      const compared = request.isCompared ? through : null;
      const copyIn = { volumeName, life, range, from: segment, data, through: compared };
      writtenBytes = await threadOf(toPool).call('copyIn', copyIn);
    } finally {
      done(writtenBytes);
    }
  }

  return {
    async *stretches({ volumeName, poolName }, fromBytes = 0) {
      for (let at = fromBytes; ;) {
        const page = await threadOf(poolName).call('listStretches', { volumeName, fromBytes: at });
        yield* page.stretches;
        at = page.nextOffsetBytes;
        if (at >= page.sizeBytes) return;
      }
    },
    async sizeBytes({ volumeName, poolName }) {
      const beyond = { volumeName, fromBytes: Number.MAX_SAFE_INTEGER };
      return (await threadOf(poolName).call('listStretches', beyond)).sizeBytes;
    },
    make: async ({ volumeName, poolName }, request) =>
      await threadOf(poolName).call('makeStored', { volumeName, ...request }),
    async copy(request) {
      const loan = await lender.borrow(request.isCompared ? 2 : 1);
      try {
        await copyThrough(request, loan.segments);
      } finally {
        loan.release();
      }
    },
    sync: async ({ volumeName, poolName }, { life }) =>
      void (await threadOf(poolName).call('syncStored', { volumeName, life })),
    track: (volume, changes) => pools.track(volume, changes),
    close: ({ volumeName, poolName }) => pools.threadsOf(poolName).closeStored(volumeName),
  };
}

/** The pieces that were lent, each cut to a length. */
function halves(segments: readonly Segment[], lengthBytes: number): [Segment, Segment?] {
  const pieces = segments.flatMap((segment) =>
    Array.from({ length: segment.lengthBytes / PIECE_BYTES }, (_, index) => ({
      address: segment.address + index * PIECE_BYTES,
      lengthBytes,
    })),
  );
  const [first, second] = pieces;
  if (first === undefined) throw new Error('No memory was lent.');
  return second === undefined ? [first] : [first, second];
}
