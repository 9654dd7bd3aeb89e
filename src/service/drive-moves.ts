import type { StoredVolume } from '../data-workers/volume.ts';

/** The moves that this process works on, as the use cases see them. */
export interface DriveMoves {
  /** The bytes that the drive's volume holds, whatever its size. */
  measure(volume: StoredVolume): Promise<number>;
  /** Tells that a move was added. */
  wake(): void;
  /** Returns once nothing is copied for the drive any more. That its move has ended is recorded already. */
  end(driveId: string): Promise<void>;
}
