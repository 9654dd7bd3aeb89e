import { setTimeout as sleep } from 'node:timers/promises';
import type { Range } from '../blockdev/block-device.ts';
import type { Drive } from '../core/drive.ts';
import { MIB } from '../core/sizes.ts';
import { ChangeMap } from '../data-workers/change-map.ts';
import { COPY_BYTES } from '../data-workers/volume-copies.ts';
import type { StoredVolume } from '../data-workers/volume.ts';
import type { VolumeCopies } from '../data-workers/volume-copies.ts';
import type { Volumes } from '../data-workers/volumes.ts';
import { commitMove } from './move-commit.ts';
import type { CommitOutcome } from './move-commit.ts';
import type { OwnMove } from './move-taking.ts';
import type { MovingMetadata } from './moving-metadata.ts';

/** Once no more than this is left to copy, the drive's writers are made to wait for it. */
const SWITCH_BYTES = 8 * MIB;
/** After so many passes they are made to wait whatever is left: who writes faster than this copies would never be done. */
const MAX_PASSES = 12;
/** Copies under way at a time: one is read while the other is written. */
const PARALLEL_COPIES = 2;

/** What is known of a move while it runs, for the metadata. */
export interface MoveProgress {
  doneBytes: number;
  totalBytes: number;
}

export interface MoveRun {
  readonly move: OwnMove;
  readonly drive: Drive;
  /** Before which the move was this node's for certain; see `poolLife`. Nothing is changed in another one. */
  readonly life: number;
  readonly copies: VolumeCopies;
  readonly volumes: Pick<Volumes, 'relocate'>;
  readonly metadata: MovingMetadata;
  readonly progress: MoveProgress;
  /** Records the progress, and that the copy has been begun; rejects when the move is there no more. */
  readonly record: () => Promise<void>;
  /** Aborted when nothing more may be done. */
  readonly signal: AbortSignal;
  /** How long to wait for an imaging that reads the drive. */
  readonly imagingMs: number;
  readonly monotonicMs: () => number;
  readonly reportMoved: (moved: MovedDrive) => void;
  readonly reportFailure: (error: unknown, doing: string) => void;
}

/** For the log: a move that is done, and how long those who change the drive had to wait at its end. */
export interface MovedDrive {
  readonly drive: string;
  readonly fromPool: string;
  readonly toPool: string;
  readonly pausedMs: number;
}

/**
 * Moves a drive: copies all of it while it is written to, then again and again what was written meanwhile, and last, with the
 * writers waiting, the rest. A copy that was begun by a process that is no more is compared with the drive piece by piece.
 */
export async function runMove(run: MoveRun): Promise<Exclude<CommitOutcome, 'imaging'>> {
  const { copies, move, drive, life, progress } = run;
  const { driveId, volumeName } = drive;
  const source = { volumeName, poolName: drive.poolName };
  const target = { volumeName, poolName: move.poolName };
  try {
    const sizeBytes = await copies.sizeBytes(source);
    const isKept = await copies.make(target, { sizeBytes, mayKeep: move.state === 'copying', life });
    const changes = ChangeMap.forVolume(sizeBytes);
    await copies.track(source, changes.shared);
    await markData(run, { volume: source, changes });
    // What the drive has given back since must become a hole again.
    if (isKept) await markData(run, { volume: target, changes });
    progress.doneBytes = 0;
    progress.totalBytes = changes.markedBytes();
    await run.record();
    return await copyUntilMoved(run, { changes, sizeBytes, isKept });
  } finally {
    const ends = [copies.track(source, null), copies.close(source), copies.close(target)];
    // What went wrong before is worth more than what goes wrong here.
    for (const { reason } of (await Promise.allSettled(ends)).filter((end) => end.status === 'rejected')) {
      run.reportFailure(reason, `ending the copy of drive ${driveId}`);
    }
  }
}

/** Marks what may hold data. */
async function markData(
  { copies, signal }: MoveRun,
  { volume, changes }: { volume: StoredVolume; changes: ChangeMap },
): Promise<void> {
  for await (const stretch of copies.stretches(volume)) {
    signal.throwIfAborted();
    changes.mark(stretch);
  }
}

interface Copying {
  readonly changes: ChangeMap;
  readonly sizeBytes: number;
  readonly isKept: boolean;
}

async function copyUntilMoved(run: MoveRun, copying: Copying): Promise<Exclude<CommitOutcome, 'imaging'>> {
  await copyMarked(run, copying, { isCompared: copying.isKept, isCounted: true });
  for (let pass = 1; ; pass += 1) {
    if (copying.changes.markedBytes() <= SWITCH_BYTES || pass > MAX_PASSES) {
      const outcome = await switchPools(run, copying);
      if (outcome !== 'imaging') return outcome;
      pass = 0;
      await sleep(run.imagingMs, undefined, { signal: run.signal });
    }
    await copyMarked(run, copying, { isCompared: false, isCounted: false });
  }
}

/** Copies what is left while nobody writes, and has the drive go on in its new pool. */
async function switchPools(run: MoveRun, copying: Copying): Promise<CommitOutcome> {
  const { metadata, move, drive, signal } = run;
  const jobs = await metadata.imaging.listTouching([drive.driveId]);
  if (jobs.length > 0) return 'imaging';
  let outcome: CommitOutcome = 'gone';
  const pausedAtMs = run.monotonicMs();
  await run.volumes.relocate(drive.driveId, async () => {
    await copyMarked(run, copying, { isCompared: false, isCounted: false });
    outcome = await commitMove(metadata, move, signal);
    return outcome === 'moved' ? move.poolName : null;
  });
  if ((outcome as CommitOutcome) === 'moved') {
    const pausedMs = Math.round(run.monotonicMs() - pausedAtMs);
    run.reportMoved({ drive: drive.driveId, fromPool: drive.poolName, toPool: move.poolName, pausedMs });
  }
  return outcome;
}

/** Copies every piece that is marked, durably. */
async function copyMarked(
  { copies, move, drive, life, progress, signal }: MoveRun,
  { changes, sizeBytes }: Copying,
  { isCompared, isCounted }: { isCompared: boolean; isCounted: boolean },
): Promise<void> {
  const { volumeName } = drive;
  const steps = stepsOf(changes, sizeBytes);
  const work = async (): Promise<void> => {
    for (const range of steps) {
      signal.throwIfAborted();
      const place = { volumeName, fromPool: drive.poolName, toPool: move.poolName };
      await copies.copy({ ...place, life, range, isCompared });
      if (isCounted) progress.doneBytes += range.lengthBytes;
    }
  };
  // None may go on once this has ended, so all are waited for before the first error is thrown.
  const copying = Array.from({ length: PARALLEL_COPIES }, work);
  await Promise.allSettled(copying);
  await Promise.all(copying);
  await copies.sync({ volumeName, poolName: move.poolName }, { life });
}

function* stepsOf(changes: ChangeMap, sizeBytes: number): Generator<Range> {
  for (const piece of changes.take()) {
    const end = Math.min(sizeBytes, piece.offsetBytes + piece.lengthBytes);
    for (let { offsetBytes } = piece; offsetBytes < end; offsetBytes += COPY_BYTES) {
      yield { offsetBytes, lengthBytes: Math.min(COPY_BYTES, end - offsetBytes) };
    }
  }
}
