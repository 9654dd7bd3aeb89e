/** Connections of one server to a drive, all under the same claim. */
export interface OpenConnections {
  readonly serverId: string;
  readonly epoch: number;
  /** How many there are, at least 1. */
  readonly connections: number;
  /** When the first of them was made. */
  readonly sinceMs: number;
}

/** The connections of servers to their drives, wherever they are kept. */
export interface Connections {
  /**
   * Ends all connections of this drive that are not of one of these live claims, and returns when none of them can
   * change a byte any more, also with requests in flight. One that was registered before the call and belongs to none
   * of them is ended, however new it is. Never rejects: what cannot be ended in order is ended without.
   */
  cut(driveId: string, keep: readonly { serverId: string; epoch: number }[]): Promise<void>;
  /** Open connections by server and epoch, of one drive. */
  list(driveId: string): readonly OpenConnections[];
  /** Tells that the drive's I/O limits have changed in the metadata. */
  limitsChanged(driveId: string): void;
}

/** Connections of a process that lets no server connect. */
export function noConnections(): Connections {
  return { cut: () => Promise.resolve(), list: () => [], limitsChanged: () => undefined };
}
