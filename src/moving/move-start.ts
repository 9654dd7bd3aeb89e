import type { Drive } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { failureOf, MoveStopped } from './move-outcome.ts';
import type { MoveFailure } from './move-outcome.ts';
import { runMove } from './move-run.ts';
import type { MoveProgress } from './move-run.ts';
import type { OwnMove } from './move-taking.ts';
import type { MovingRunnerOptions } from './moving-runner.ts';

/** A move that this process works on. */
export interface StartedMove {
  stop(): void;
  /** Resolves, never rejects, once nothing is copied any more and what became of it is recorded. */
  readonly ended: Promise<'moved' | 'gone' | MoveFailure['kind']>;
}

/** Begins to work on a move, or goes on with it. */
export function startMove(move: OwnMove, options: MovingRunnerOptions): StartedMove {
  const stopping = new AbortController();
  const ended = work(move, options, stopping).catch((error: unknown) => {
    options.reportFailure(error, `recording the end of the move of drive ${move.driveId}`);
    return 'waiting' as const;
  });
  return { ended, stop: () => stopping.abort(new MoveStopped('stopped')) };
}

async function work(
  move: OwnMove,
  options: MovingRunnerOptions,
  stopping: AbortController,
): Promise<'moved' | 'gone' | MoveFailure['kind']> {
  const { metadata, onLeft } = options;
  // Before the last look at whose move it is: who takes it over from then on ends this life.
  const life = options.poolLife();
  const [now, drive] = [await metadata.moves.find(move.driveId), await metadata.drives.find(move.driveId)];
  if (drive === null || now?.nodeId !== move.nodeId) return 'gone';
  const { volumeName } = drive;
  const progress: MoveProgress = { doneBytes: move.doneBytes, totalBytes: move.totalBytes };
  try {
    await unlessStopped(options.takeDrive(drive, move), stopping.signal);
    const outcome = await runWithProgress({ move, drive, life, progress }, options, stopping);
    onLeft({ volumeName, poolName: outcome === 'moved' ? drive.poolName : move.poolName });
    return outcome;
  } catch (error) {
    const failure = await explain(error, { move, drive }, options);
    if (failure.kind === 'failed') await recordFailure(options, { move, drive }, failure.sentence);
    if (failure.kind === 'failed' || failure.kind === 'gone') onLeft({ volumeName, poolName: move.poolName });
    return failure.kind;
  }
}

/** What is waited for touches no volume, so nobody need wait for it any more. */
async function unlessStopped(work: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise: isStopped, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', stop);
  await Promise.race([work, isStopped]).finally(() => signal.removeEventListener('abort', stop));
}

async function runWithProgress(
  moving: { move: OwnMove; drive: Drive; life: number; progress: MoveProgress },
  options: MovingRunnerOptions,
  stopping: AbortController,
): Promise<'moved' | 'gone'> {
  const { metadata, limits, reportFailure } = options;
  const { move, progress } = moving;
  const record = async (): Promise<void> => {
    const { driveId, poolName, nodeId } = move;
    const now = { driveId, poolName, nodeId, error: null, ...progress };
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
  { move, drive }: { move: OwnMove; drive: Drive },
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
  { move, drive }: { move: OwnMove; drive: Drive },
  sentence: string,
): Promise<void> {
  await metadata.transaction(async (tx) => {
    const { driveId, poolName, nodeId, doneBytes, totalBytes } = move;
    const progress = { driveId, poolName, nodeId, doneBytes, totalBytes };
    const failed = { ...progress, state: 'failed', error: sentence } as const;
    if (await tx.moves.progress(failed)) await tx.strays.insert({ volumeName: drive.volumeName, poolName });
  });
}
