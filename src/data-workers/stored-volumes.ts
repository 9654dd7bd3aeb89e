import type { ServedEnd } from './protocol.ts';
import type { StoredVolume, VolumeSpec } from './volume.ts';
import type { NbdConnection, Volumes } from './volumes.ts';

/** Volumes in the pools that they are said to be in: `Volumes` is this, for drives that move. */
export interface StoredVolumes extends Omit<Volumes, 'attach' | 'relocate' | 'forgetMove' | 'remove'> {
  /** With a life nothing is removed in a later one; see `poolLife`. */
  remove(volume: StoredVolume, life: number | null): Promise<void>;
  attach(spec: VolumeSpec, connection: NbdConnection): ServedAttachment;
}

/** An NBD connection that a thread serves. */
export interface ServedAttachment {
  /** Rejects with a DriveError when the volume cannot be opened. */
  readonly ended: Promise<ServedEnd>;
  /** Has it end where it can go on elsewhere; it may take as long as the client takes for its replies. */
  release(): Promise<void>;
  /** Ends it: when this resolves, not one byte more changes through it. */
  detach(): Promise<void>;
}
