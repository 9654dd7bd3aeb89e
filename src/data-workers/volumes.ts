import type { Range } from '../blockdev/block-device.ts';
import type { MappedBlock } from './protocol.ts';
import type { VolumeSpec } from './volume.ts';

/**
 * The stored drives, as the main thread sees them: every call is done by a data thread of the drive's pool.
 *
 * Errors: DriveError `system` while the pool does not answer or its disk fails, `full` when it has no room,
 * `usage` for a body that is found bad.
 */
export interface Volumes {
  /** Makes the volume, durably; the passphrase opens its LUKS header. */
  create(spec: VolumeSpec, passphrase: string | null): Promise<void>;
  /** Removes the volume and returns its space; nothing happens when there is none. */
  remove(volume: { driveId: string; poolName: string }): Promise<void>;
  /** Resizes the volume, whose size so far is the specification's, durably. */
  resize(spec: VolumeSpec, sizeBytes: number): Promise<void>;
  /** Begins to read; see `LentPieces`. */
  read(spec: VolumeSpec, range: Range): Promise<LentPieces>;
  /** Reads all of the range, at most the lendable memory, and its SHA-256. */
  readWithDigest(spec: VolumeSpec, range: Range): Promise<LentPieces & { sha256: Uint8Array }>;
  /** Takes in a whole body, up to 64 MiB, as it comes. */
  receive(body: AsyncIterable<Uint8Array>, bodyBytes: number): Promise<ReceivedBody>;
  /** Writes a received body as a whole or not at all, durably; answers the bytes written. */
  write(spec: VolumeSpec, request: BodyWrite): Promise<number>;
  /** Says of each 4 MiB block of the range whether it is zero; at most 1 GiB at a time. */
  map(spec: VolumeSpec, request: { range: Range; withHash: boolean }): Promise<readonly MappedBlock[]>;
  /** Writes encrypted zeros where nothing was ever written, durably; answers the bytes written. */
  fillHoles(spec: VolumeSpec): Promise<number>;
  /** Closes the volume in every thread. */
  close(volume: { driveId: string; poolName: string }): Promise<void>;
}

/** What a write consists of once its body is there. */
export interface BodyWrite {
  readonly offsetBytes: number;
  readonly body: ReceivedBody;
  readonly encoding: 'identity' | 'gzip';
  readonly sha256: Uint8Array | null;
}

/** A body in lent memory. */
export interface ReceivedBody {
  readonly segments: readonly { readonly address: number; readonly lengthBytes: number }[];
  release(): void;
}

/**
 * Pieces of a range, in order, in lent memory. Each piece's `release` must be called once; the next one is read while
 * earlier ones are still out. The first piece has been read when this is handed out, so that an error of the disk is
 * known before an answer is begun.
 */
export interface LentPieces {
  readonly pieces: AsyncIterable<LentPiece>;
  /** For a reader that never begins: gives the memory back. */
  abandon(): void;
}

export interface LentPiece {
  readonly bytes: Uint8Array;
  release(): void;
}
