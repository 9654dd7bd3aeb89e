/** What imaging does to the bytes of the source on their way to the target. */
export type Conversion = 'plain' | 'gzip' | 'gunzip' | 'zstd' | 'unzstd';

export const CONVERSIONS: readonly Conversion[] = ['plain', 'gzip', 'gunzip', 'zstd', 'unzstd'];

/** `queued`: waits for its turn. `running`: a worker holds its lease. A finished job has no row. */
export type ImagingState = 'queued' | 'running';

/** One imaging as the metadata holds it; a target has at most one. */
export interface ImagingJob {
  readonly jobId: string;
  readonly targetDriveId: string;
  readonly sourceDriveId: string;
  readonly conversion: Conversion;
  readonly state: ImagingState;
  /** Who works on it, and until when unless renewed; null while queued. */
  readonly leaseOwner: string | null;
  readonly leaseExpiresAtMs: number | null;
  /**
   * Offset in the target up to which everything is durably done, for a plain copy to continue from.
   * Null until the target has been durably emptied.
   */
  readonly checkpointBytes: number | null;
  /** Bytes of the source that have been worked on, of `totalBytes`. */
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly createdAtMs: number;
}

/** The space-free token that source and target show as `claimed`. */
export function imagingClaim(job: Pick<ImagingJob, 'jobId'>): string {
  return `imaging:${job.jobId}`;
}

/** A whole percentage, 0 to 99 while it runs: 100 is said by being finished. */
export function imagingPercent(job: Pick<ImagingJob, 'doneBytes' | 'totalBytes'>): number {
  if (job.totalBytes === 0) return 0;
  return Math.min(99, Math.floor((job.doneBytes / job.totalBytes) * 100));
}
