/** How much I/O a drive's servers may ask for, set by administrators; null is no limit. */
export interface DriveLimits {
  /** Requests a second, reads and writes together. */
  readonly iops: number | null;
  /** Requests that may come at once after a pause; null is as many as a second allows. */
  readonly iopsBurst: number | null;
  readonly bytesPerSecond: number | null;
  /** Bytes that may come at once after a pause; null is as many as a second allows. */
  readonly burstBytes: number | null;
}

export const NO_LIMITS: DriveLimits = {
  iops: null,
  iopsBurst: null,
  bytesPerSecond: null,
  burstBytes: null,
};

/** What is given of new limits: an absent one stays as it is, null removes it. */
export type DriveLimitsChange = { readonly [Name in keyof DriveLimits]?: DriveLimits[Name] | undefined };

/** The limits after a change. A burst goes with the rate that it belongs to. */
export function changeLimits(before: DriveLimits, change: DriveLimitsChange): DriveLimits {
  const iops = change.iops === undefined ? before.iops : change.iops;
  const iopsBurst = change.iopsBurst === undefined ? before.iopsBurst : change.iopsBurst;
  const bytesPerSecond = change.bytesPerSecond === undefined ? before.bytesPerSecond : change.bytesPerSecond;
  const burstBytes = change.burstBytes === undefined ? before.burstBytes : change.burstBytes;
  return {
    iops,
    iopsBurst: iops === null ? null : iopsBurst,
    bytesPerSecond,
    burstBytes: bytesPerSecond === null ? null : burstBytes,
  };
}
