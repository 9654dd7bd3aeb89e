/** Where an upload's bytes come from. */
export interface UploadSource {
  /** As users know it: a path, or `standard input`. */
  readonly name: string;
  /** Null while it cannot be known: a pipe, or something packed. */
  readonly sizeBytes: number | null;
  /**
   * Fills `target` with what is at the offset. Calls come in ascending order of offsets, and several may be under way.
   *
   * @returns the bytes read: fewer than `target.length` only where the source ends
   */
  read(offsetBytes: number, target: Buffer): Promise<number>;
  /** Whether the range is known to be zero without reading it. */
  isHole(offsetBytes: number, sizeBytes: number): boolean;
  close(): Promise<void>;
}
