import { setTimeout as sleep } from 'node:timers/promises';
import type { Pools } from '../data-workers/pools.ts';
import type { StoredVolume } from '../data-workers/volume.ts';
import type { VolumeCopies } from '../data-workers/volume-copies.ts';
import type { Volumes } from '../data-workers/volumes.ts';
import type { Drive } from '../core/drive.ts';
import type { DriveMove } from '../core/move.ts';
import type { Node } from '../core/node.ts';
import { createPump } from '../runtime/pump.ts';
import type { MovedDrive } from './move-run.ts';
import { startMove } from './move-start.ts';
import type { StartedMove } from './move-start.ts';
import { takeMove } from './move-taking.ts';
import type { OwnMove, TakingNode } from './move-taking.ts';
import type { MovingMetadata } from './moving-metadata.ts';

/** Works through the moves that this node makes. */
export interface MovingRunner {
  /** Begins, with what an earlier life of this node has left under way. */
  start(): void;
  /** Says that a move was added. */
  wake(): void;
  /** Stops working on the drive's move, if this node does, and returns once nothing of it is under way. */
  end(driveId: string): Promise<void>;
  /** Stops every move where it is; the next start goes on with it. */
  stop(): Promise<void>;
}

export interface MovingLimits {
  /** Drives that are moved at once: each keeps one or two threads of its pools busy, besides those who use the pools. */
  readonly parallelMoves: number;
  /** How often progress is recorded. */
  readonly progressMs: number;
  /** How often to look for moves that nobody told us of, and how long to wait for pools that are away. */
  readonly pollMs: number;
  /** How often a move that could end looks whether an imaging still reads its drive. */
  readonly imagingMs: number;
  /** How long `stop` waits for pools that do not answer. */
  readonly stopMs: number;
}

export const MOVING_LIMITS: MovingLimits = {
  parallelMoves: 2,
  progressMs: 1_000,
  pollMs: 5_000,
  imagingMs: 1_000,
  stopMs: 10_000,
};

/** Moves that are looked at in one go. */
const MAX_LISTED = 1_000;

export interface MovingRunnerOptions {
  readonly metadata: MovingMetadata;
  readonly node: TakingNode & Pick<Node, 'state'> & { readonly isFenced: boolean };
  /** In which life this process is; see `poolLife`. */
  readonly poolLife: () => number;
  readonly pools: Pick<Pools, 'statusOf' | 'refresh'>;
  readonly copies: VolumeCopies;
  readonly volumes: Pick<Volumes, 'relocate'>;
  /** Returns once nobody but this process changes the drive until its move has ended, or has it open where it is to lie. */
  readonly takeDrive: (drive: Drive, move: OwnMove) => Promise<void>;
  /** Told of a volume that may have to be removed: where a drive has left, or a move has ended without it. */
  readonly onLeft: (volume: StoredVolume) => void;
  readonly monotonicMs: () => number;
  readonly reportMoved: (moved: MovedDrive) => void;
  readonly reportFailure: (error: unknown, doing: string) => void;
  readonly limits: MovingLimits;
}

/**
 * Makes the runner of this node's moves, and of those that it takes over: whose pools are both here, and whose own node does not go
 * on with them.
 */
export function createMovingRunner(options: MovingRunnerOptions): MovingRunner {
  const { metadata, pools, limits } = options;
  const running = new Map<string, StartedMove>();
  /** Those that are not tried again before the next look. */
  const waiting = new Set<string>();
  const pump = createPump(fill, (error) => options.reportFailure(error, 'taking up moves'));
  let timer: NodeJS.Timeout | null = null;
  let isStopping = false;

  async function fill(): Promise<void> {
    if (isStopping || running.size >= limits.parallelMoves) return;
    for (const move of await metadata.moves.listUnderWay(MAX_LISTED)) {
      const { driveId } = move;
      if (running.has(driveId) || waiting.has(driveId)) continue;
      const drive = await metadata.drives.find(driveId);
      const poolNames = [drive?.poolName ?? '', move.poolName];
      if (isStopping || running.size >= limits.parallelMoves) return;
      if (!poolNames.every((poolName) => pools.statusOf(poolName).isActive)) continue;
      const own = await ownMove(options, move);
      if (own !== null && !isStopping) launch(driveId, startMove(own, options));
    }
  }

  function launch(driveId: string, started: StartedMove): void {
    running.set(driveId, started);
    void started.ended.then((outcome) => {
      running.delete(driveId);
      if (outcome === 'waiting') waiting.add(driveId);
      wake();
    });
  }

  function wake(): void {
    if (timer !== null && !isStopping) pump.wake();
  }

  return {
    start() {
      timer = setInterval(() => {
        waiting.clear();
        wake();
      }, limits.pollMs);
      wake();
    },
    wake,
    async end(driveId) {
      // One that is being taken up at this moment is there afterwards.
      await pump.settled();
      const started = running.get(driveId);
      started?.stop();
      await started?.ended;
    },
    async stop() {
      isStopping = true;
      if (timer !== null) clearInterval(timer);
      await pump.settled();
      const ended = [...running.values()].map(async (started) => {
        started.stop();
        await started.ended;
      });
      await Promise.race([Promise.all(ended), sleep(limits.stopMs, undefined, { ref: false })]);
    },
  };
}

/** The move, when it is this node's, or becomes that now. */
async function ownMove({ metadata, node }: MovingRunnerOptions, move: DriveMove): Promise<OwnMove | null> {
  const { nodeId, state, isFenced } = node;
  if (move.nodeId === nodeId) return { ...move, nodeId };
  return state === 'up' && !isFenced ? await takeMove(metadata, move, node) : null;
}
