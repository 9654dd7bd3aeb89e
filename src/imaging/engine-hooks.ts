/** What an engine tells and asks while it works. */
export interface EngineHooks {
  /** Counts bytes of the source as worked on. */
  addDone(lengthBytes: number): void;
  /** Throws ImagingStopped when nothing more may be written. Called before every write. */
  checkRunning(): void;
  /** Waits until the target's pool has room for this much; rejects with DriveError full when it has not. */
  admit(lengthBytes: number): Promise<void>;
}

/** The job was told to stop, or its lease has run out: nothing has gone wrong, and nothing more may be written. */
export class ImagingStopped extends Error {
  constructor() {
    super('The imaging was stopped.');
    this.name = 'ImagingStopped';
  }
}
