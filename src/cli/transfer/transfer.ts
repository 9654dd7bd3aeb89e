import type { DriveApi } from '../api/drive-api.ts';
import type { NextDataBytes, PreferHugePages, Sha256InThread } from '../cli-io.ts';

/** One drive and the terms on which its bytes are moved. */
export interface TransferContext {
  readonly api: DriveApi;
  readonly driveId: string;
  readonly driveBytes: number;
  readonly parallel: number;
  readonly progress: Progress;
  readonly interruption: Interruption;
  readonly nextDataBytes?: NextDataBytes | undefined;
  readonly sha256InThread?: Sha256InThread | undefined;
  readonly preferHugePages?: PreferHugePages | undefined;
  nowMs(): number;
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** Whether the user wants the transfer to end here. */
export interface Interruption {
  readonly hasHappened: boolean;
}

/** Is told how far a transfer is. */
export interface Progress {
  start(totalBytes: number): void;
  advance(doneBytes: number): void;
  stop(): void;
}

/** What a transfer did, in bytes of the drive, except `wireBytes`: bodies as they travelled. */
export interface TransferTally {
  totalBytes: number;
  movedBytes: number;
  wireBytes: number;
  /** Zero on both sides. */
  zeroBytes: number;
  /** Written as zeros because the other side held data. */
  clearedBytes: number;
  /** Found equal by hash. */
  unchangedBytes: number;
  /** Received without a digest to check it by. */
  uncheckedBytes: number;
}

export function newTally(totalBytes: number): TransferTally {
  return {
    totalBytes,
    movedBytes: 0,
    wireBytes: 0,
    zeroBytes: 0,
    clearedBytes: 0,
    unchangedBytes: 0,
    uncheckedBytes: 0,
  };
}
