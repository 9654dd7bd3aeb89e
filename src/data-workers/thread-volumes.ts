import type { Range } from '../blockdev/block-device.ts';
import { MIB } from '../core/sizes.ts';
import type { Arena, Segment } from './arena.ts';
import { viewOf } from './arena.ts';
import { receiveBody } from './body-receiver.ts';
import type { DataThreadClient } from './data-thread-client.ts';
import type { DataThreadGroup } from './data-thread-group.ts';
import { createFlushGroup } from './flush-group.ts';
import type { FlushGroup } from './flush-group.ts';
import { pieceCount, readPieces, READ_WINDOW_PIECES } from './piece-reader.ts';
import type { PieceLender } from './piece-lender.ts';
import type { Pools } from './pools.ts';
import type { VolumeSpec } from './volume.ts';
import type { BodyWrite, LentPiece, LentPieces, Volumes } from './volumes.ts';
import { poolFailure } from './pool-failure.ts';

/** What one call of `fillHoles` may occupy a data thread with. */
const FILL_STEP_BYTES = 16 * MIB;

export interface ThreadVolumesOptions {
  readonly arena: Arena;
  /** Memory for reads and for bodies apart, so that neither can keep the other waiting. */
  readonly readLender: PieceLender;
  readonly bodyLender: PieceLender;
  readonly pools: Pools;
}

/** Volumes served by each pool's own data threads. */
export function createThreadVolumes(options: ThreadVolumesOptions): Volumes {
  const { arena, readLender, bodyLender, pools } = options;
  const { memory } = arena;
  const flushGroups = new Map<string, FlushGroup>();

  function groupOf(poolName: string): DataThreadGroup {
    return pools.threadsOf(poolName);
  }

  /** Runs work on a thread that has the volume open. */
  async function onVolume<Result>(
    spec: VolumeSpec,
    work: (thread: DataThreadClient) => Promise<Result>,
  ): Promise<Result> {
    const thread = groupOf(spec.poolName).leastBusy();
    return await answered(spec, async () => {
      await thread.ensureOpen(spec);
      return await work(thread);
    });
  }

  async function flush(spec: VolumeSpec): Promise<void> {
    let group = flushGroups.get(spec.driveId);
    if (group === undefined) {
      group = createFlushGroup(async () => {
        await onVolume(spec, (thread) => thread.call('flush', { driveId: spec.driveId }));
      });
      flushGroups.set(spec.driveId, group);
    }
    await group.flush();
  }

  async function close(volume: { driveId: string; poolName: string }): Promise<void> {
    flushGroups.delete(volume.driveId);
    await groupOf(volume.poolName).closeVolume(volume.driveId);
  }

  return {
    async create(spec, passphrase) {
      await answered(spec, () => groupOf(spec.poolName).leastBusy().call('create', { spec, passphrase }));
    },
    async remove(volume) {
      await close(volume);
      await answered(volume, () =>
        groupOf(volume.poolName).leastBusy().call('remove', { driveId: volume.driveId }),
      );
    },
    async resize(spec, sizeBytes) {
      await onVolume(spec, (thread) => thread.call('resize', { driveId: spec.driveId, sizeBytes }));
      await close(spec);
    },
    async read(spec, range) {
      const loan = await readLender.borrow(Math.min(READ_WINDOW_PIECES, pieceCount(range)));
      return await onVolume(spec, async (thread) => {
        const readPiece = (offsetBytes: number, into: Segment): Promise<unknown> =>
          answered(spec, () => thread.call('read', { driveId: spec.driveId, offsetBytes, into }));
        return await readPieces({ range, loan, memory, readPiece });
      });
    },
    async readWithDigest(spec, range) {
      const loan = await readLender.borrow(pieceCount(range));
      try {
        const segments = placed(range, loan.segments);
        const sha256 = await onVolume(spec, async (thread) => {
          const reads = segments.map(({ offsetBytes, segment }) =>
            thread.call('read', { driveId: spec.driveId, offsetBytes, into: segment }),
          );
          await allSettledThenThrow(reads);
          return await thread.call('sha256', { segments: segments.map(({ segment }) => segment) });
        });
        const views = segments.map(({ segment }) => viewOf(memory, segment));
        return { sha256, ...lendTogether(views, () => loan.release()) };
      } catch (error) {
        loan.release();
        throw error;
      }
    },
    async receive(body, bodyBytes) {
      return await receiveBody({ lender: bodyLender, memory }, body, bodyBytes);
    },
    async write(spec, write) {
      const writtenBytes = await writeAdmitted(spec, write);
      if (writtenBytes > 0) await flush(spec);
      return writtenBytes;
    },
    async map(spec, { range, withHash }) {
      return await onVolume(spec, (thread) => thread.call('map', { driveId: spec.driveId, range, withHash }));
    },
    async fillHoles(spec) {
      let writtenBytes = 0;
      for (let offsetBytes = 0; offsetBytes < spec.sizeBytes; offsetBytes += FILL_STEP_BYTES) {
        const lengthBytes = Math.min(FILL_STEP_BYTES, spec.sizeBytes - offsetBytes);
        const done = await pools.admit(spec.poolName, lengthBytes);
        const range = { offsetBytes, lengthBytes };
        writtenBytes += await onVolume(spec, (thread) =>
          thread.call('fillHoles', { driveId: spec.driveId, range }),
        ).finally(() => done(0));
      }
      if (writtenBytes > 0) await flush(spec);
      return writtenBytes;
    },
    close,
    async stop() {
      await pools.stop();
    },
  };

  async function writeAdmitted(
    spec: VolumeSpec,
    { offsetBytes, body, encoding, sha256 }: BodyWrite,
  ): Promise<number> {
    const bodyBytes = body.segments.reduce((sum, segment) => sum + segment.lengthBytes, 0);
    const admission = await pools.admitWrite(spec.poolName, bodyBytes);
    let writtenBytes = 0;
    try {
      const task = { offsetBytes, segments: body.segments, encoding, sha256, isPoolLow: admission.isPoolLow };
      writtenBytes = await onVolume(spec, (thread) => thread.call('write', { driveId: spec.driveId, task }));
      return writtenBytes;
    } finally {
      admission.done(writtenBytes);
    }
  }
}

/** Translates what the operating system says of a pool into an error of the domain. */
async function answered<Result>(
  volume: { driveId: string; poolName: string },
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw poolFailure(error, volume);
  }
}

/** Assigns the range to segments of memory, in order. */
function placed(range: Range, segments: readonly Segment[]): { offsetBytes: number; segment: Segment }[] {
  let offsetBytes = range.offsetBytes;
  const end = range.offsetBytes + range.lengthBytes;
  return segments.map(({ address, lengthBytes }) => {
    const part = Math.min(lengthBytes, end - offsetBytes);
    const placement = { offsetBytes, segment: { address, lengthBytes: part } };
    offsetBytes += part;
    return placement;
  });
}

/** The memory of a failed read may only be lent anew once nothing is being read into it any more. */
async function allSettledThenThrow(work: readonly Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(work);
  await Promise.all(work);
}

/** Pieces of memory that are given back together, when the last one is released. */
function lendTogether(views: readonly Uint8Array[], release: () => void): LentPieces {
  let outstanding = views.length;
  const releaseOne = (): void => {
    outstanding -= 1;
    if (outstanding === 0) release();
  };
  async function* pieces(): AsyncGenerator<LentPiece> {
    let lent = 0;
    try {
      for (const bytes of views) {
        lent += 1;
        yield { bytes, release: releaseOne };
      }
    } finally {
      for (; lent < views.length; lent += 1) releaseOne();
    }
  }
  return {
    pieces: pieces(),
    abandon: () => {
      for (let index = 0; index < views.length; index += 1) releaseOne();
    },
  };
}
