import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import type { DriveMove } from '../core/move.ts';
import { failureOf, MoveStopped } from './move-outcome.ts';
import type { MoveFailure } from './move-outcome.ts';
import { runMove } from './move-run.ts';
import type { MoveProgress } from './move-run.ts';
import type { MovingRunnerOptions } from './moving-runner.ts';

/** A move that this process works on. */
export interface StartedMove {
  stop(): void;
  /** Resolves, never rejects, once nothing is copied any more and what became of it is recorded. */
  readonly ended: Promise<'moved' | 'gone' | MoveFailure['kind']>;
}

/** Begins to work on a move, or goes on with it. */
export function startMove(move: DriveMove, options: MovingRunnerOptions): StartedMove {
  const stopping = new AbortController();
  const ended = work(move, options, stopping).catch((error: unknown) => {
    options.reportFailure(error, `recording the end of the move of drive ${move.driveId}`);
    return 'waiting' as const;
  });
  return { ended, stop: () => stopping.abort(new MoveStopped('stopped')) };
}

async function work(
  move: DriveMove,
  options: MovingRunnerOptions,
  stopping: AbortController,
): Promise<'moved' | 'gone' | MoveFailure['kind']> {
  const { metadata, onLeft } = options;
  const drive = await metadata.drives.find(move.driveId);
  if (drive === null) return 'gone';
  const { volumeName } = drive;
  const progress: MoveProgress = { doneBytes: move.doneBytes, totalBytes: move.totalBytes };
  try {
    await options.takeDrive(drive, move);
    const outcome = await runWithProgress({ move, drive, progress }, options, stopping);
    onLeft({ volumeName, poolName: outcome === 'moved' ? drive.poolName : move.poolName });
    return outcome;
  } catch (error) {
    const failure = await explain(error, { move, drive }, options);
    if (failure.kind === 'failed') await recordFailure(options, { move, drive }, failure.sentence);
    if (failure.kind === 'failed' || failure.kind === 'gone') onLeft({ volumeName, poolName: move.poolName });
    return failure.kind;
  }
}

async function runWithProgress(
  moving: { move: DriveMove; drive: Drive; progress: MoveProgress },
  options: MovingRunnerOptions,
  stopping: AbortController,
): Promise<'moved' | 'gone'> {
  const { metadata, limits, reportFailure } = options;
  const { move, progress } = moving;
  const record = async (): Promise<void> => {
    const now = { driveId: move.driveId, poolName: move.poolName, error: null, ...progress };
    const isThere = await metadata.transaction((tx) => tx.moves.progress({ ...now, state: 'copying' }));
    if (isThere) return;
    stopping.abort(new MoveStopped('gone'));
    stopping.signal.throwIfAborted();
  };
  let isRecording = false;
  const timer = setInterval(() => {
    if (isRecording || progress.totalBytes === 0) return;
    isRecording = true;
    record()
      .catch((error: unknown) => {
        if (!(error instanceof MoveStopped))
          reportFailure(error, `recording how far drive ${move.driveId} is`);
      })
      .finally(() => {
        isRecording = false;
      });
  }, limits.progressMs);
  try {
    return await runMove({
      ...options,
      ...moving,
      record,
      signal: stopping.signal,
      imagingMs: limits.imagingMs,
    });
  } finally {
    clearInterval(timer);
  }
}

async function explain(
  error: unknown,
  { move, drive }: { move: DriveMove; drive: Drive },
  { pools, reportFailure }: MovingRunnerOptions,
): Promise<MoveFailure> {
  if (error instanceof MoveStopped) return { kind: error.kind };
  // A wait that was aborted says only that.
  if (error instanceof Error && error.name === 'AbortError') return { kind: 'stopped' };
  reportFailure(error, `moving drive ${move.driveId} to pool ${move.poolName}`);
  if (!(error instanceof DriveError)) await pools.refresh();
  const poolNames = { fromPool: drive.poolName, toPool: move.poolName };
  const isPoolAway = Object.values(poolNames).some((poolName) => !pools.statusOf(poolName).isActive);
  return failureOf(error, { ...poolNames, isPoolAway });
}

async function recordFailure(
  { metadata }: MovingRunnerOptions,
  { move, drive }: { move: DriveMove; drive: Drive },
  sentence: string,
): Promise<void> {
  await metadata.transaction(async (tx) => {
    const { driveId, poolName, doneBytes, totalBytes } = move;
    const failed = { driveId, poolName, doneBytes, totalBytes, state: 'failed', error: sentence } as const;
    if (await tx.moves.progress(failed)) await tx.strays.insert({ volumeName: drive.volumeName, poolName });
  });
}
