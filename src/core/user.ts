/** Someone who may use the API. The key itself is not kept, only its hash. */
export interface User {
  readonly userId: string;
  /** What an administrator calls this user; null when never named. */
  readonly name: string | null;
  readonly isAdmin: boolean;
  readonly isDisabled: boolean;
  /** The most drives this user may own; null for no limit. */
  readonly quotaDrives: number | null;
  /** The most bytes this user's drives may add up to; null for no limit. */
  readonly quotaBytes: number | null;
  readonly createdAtMs: number;
}

/** What a user owns at this moment, to be held against the quotas. */
export interface Usage {
  readonly drives: number;
  readonly sizeBytes: number;
}
