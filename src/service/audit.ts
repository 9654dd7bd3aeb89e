/**
 * One change of who may use a drive, for the log.
 *
 * - claim: a server holds the drive from now on, or holds it anew under a new secret
 * - takeover: the same, and the server named before lost it by that
 * - release: a server gave the drive back
 * - expire: a server's lease ran out
 * - cut: connections were ended whose claim is no more
 */
export interface AuditEvent {
  readonly event: 'claim' | 'takeover' | 'release' | 'expire' | 'cut';
  /** The user who asked for it; null for what happened by itself. */
  readonly actor: string | null;
  readonly drive: string;
  readonly server: string;
  readonly epoch: number;
  /** Who held the drive before a takeover. */
  readonly previousServer?: string;
  /** How many connections were cut. */
  readonly connections?: number;
}
