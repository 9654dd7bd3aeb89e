import type { Range } from '../blockdev/block-device.ts';
import type { BodyDigest, DigestAlgorithm } from '../core/body-digest.ts';
import type { MappedBlock } from './protocol.ts';
import type { StoredVolume, VolumeSpec } from './volume.ts';

/**
 * The stored drives, as the main thread sees them: every call is done by a data thread of the drive's pool. A drive that
 * has moved since its specification was made is found where it is now.
 *
 * Errors: DriveError `system` while the pool does not answer or its disk fails, `full` when it has no room,
 * `usage` for a body that is found bad.
 */
export interface Volumes {
  /** Makes the volume, durably; the passphrase opens its LUKS header. */
  create(spec: VolumeSpec, passphrase: string | null): Promise<void>;
  /**
   * Removes the volume and returns its space; nothing happens when there is none. Those who read a volume that its drive has
   * left are waited for. With a life nothing is removed in a later one; see `poolLife`.
   */
  remove(volume: StoredVolume, options?: { isLeft: boolean; life?: number }): Promise<void>;
  /** Resizes the volume, whose size so far is the specification's, durably. */
  resize(spec: VolumeSpec, change: VolumeResize): Promise<void>;
  /** Begins to read; see `LentPieces`. */
  read(spec: VolumeSpec, range: Range): Promise<LentPieces>;
  /** Reads all of the range, at most the lendable memory, and its digest. */
  readWithDigest(spec: VolumeSpec, range: Range, algorithm: DigestAlgorithm): Promise<DigestedPieces>;
  /**
   * Reads the range and has a data thread send it straight to a socket, as far as the client takes it without being
   * waited for. Nothing is sent when the range cannot be read at all.
   */
  send(volume: VolumeSpec, range: Range, socket: SocketOutput): Sending;
  /** Begins to read for a client that is slow: as `read`, but what it is waited for with is memory of its own. */
  readSlowly(spec: VolumeSpec, range: Range): AsyncGenerator<LentPiece>;
  /**
   * Has a data thread receive a body and write it at once, as `receive` and `write` would, when all of it comes straight from a
   * fast client. Answers the bytes written; or, with nothing written, how far that has come, for `receive` to go on with: within
   * two seconds of when the thread has begun. Null when it could not begin, or would have had to wait: for a relocation,
   * for the volume to be opened, for a look at the pool's room, or for memory.
   */
  writeAsReceived(spec: VolumeSpec, write: DirectWrite): Promise<number | BegunBody | null>;
  /** Takes in a whole body, up to 64 MiB, as it comes, to be written to this very place by `write`. */
  receive(
    spec: VolumeSpec,
    body: IncomingBody,
    write: BodyPlace,
    begun?: BegunBody | null,
  ): Promise<ReceivedBody>;
  /** Writes a received body as a whole or not at all, durably; answers the bytes written. */
  write(spec: VolumeSpec, request: BodyWrite): Promise<number>;
  /** Says of each 4 MiB block of the range whether it is zero; at most 1 GiB at a time. */
  map(spec: VolumeSpec, request: { range: Range; withHash: boolean }): Promise<readonly MappedBlock[]>;
  /** Writes encrypted zeros where nothing was ever written, durably; answers the bytes written. */
  fillHoles(spec: VolumeSpec, fill: HoleFill): Promise<number>;
  /** Serves an NBD connection, whose handshake is over, until it ends. */
  attach(spec: VolumeSpec, connection: NbdConnection): AttachedConnection;
  /**
   * Has the work done while nothing changes the drive, by whatever way: who wants to waits. Then all go on, in the pool that
   * the work names; where they were when it names none, or throws, which this does too.
   */
  relocate(driveId: string, work: () => Promise<string | null>): Promise<void>;
  /**
   * Forgets where the drive has moved to, since another node is to move it on. Nobody changes it by then who has looked it up
   * before it moved there.
   */
  forgetMove(driveId: string): void;
}

/** An NBD connection whose handshake is over. */
export interface NbdConnection {
  /** In which it was let through; see `poolLife`. */
  readonly life: number;
  /** Of its socket, which nobody else reads or writes until it has ended. */
  readonly descriptor: number;
  readonly isReadOnly: boolean;
  readonly form: 'simple' | 'structured' | 'extended';
  /** The id of `base:allocation`; null when the client has not asked for it. */
  readonly contextId: number | null;
  /** What the client has sent already. */
  readonly leftover: Uint8Array;
  /** The drive's budget, see `RateLimit`; the connection's figures, see `StatsWriter`. */
  readonly limit: SharedArrayBuffer;
  readonly stats: SharedArrayBuffer;
}

export interface AttachedConnection {
  /** Why it has ended. Rejects with a DriveError when the volume cannot be opened. */
  readonly ended: Promise<string>;
  /** Ends it: when this resolves, not one byte more changes through it. */
  detach(): Promise<void>;
}

/** What a body is and where it goes. */
export interface BodyPlace {
  readonly offsetBytes: number;
  readonly encoding: 'identity' | 'gzip';
  readonly digest: BodyDigest;
}

/** What is done with a volume in one life of the process, and must not be done in the next. */
export interface LetThrough {
  /** In which it was let through; see `poolLife`. */
  readonly life: number;
}

export interface VolumeResize extends LetThrough {
  readonly sizeBytes: number;
}

export interface HoleFill extends LetThrough {
  readonly range: Range;
}

/** What a write consists of once its body is there. */
export interface BodyWrite extends BodyPlace, LetThrough {
  readonly body: ReceivedBody;
}

/** What a write consists of whose body is still to come. */
export interface DirectWrite extends BodyPlace, LetThrough {
  readonly body: IncomingBody;
  /** Called when all of the body is there. */
  onReceived(): void;
}

/** A socket that nobody else writes to until the call has ended. */
export interface SocketOutput {
  /**
   * Its descriptor; null when it cannot be written to past its owner any more. To be duplicated at once: when the
   * client hangs up, the number becomes another client's.
   */
  descriptor(): number | null;
  /** What is sent before the bytes of the drive; at most 16 KiB. */
  readonly head: Uint8Array;
}

/** A range on its way to a socket. */
export interface Sending {
  readonly done: Promise<SentPart>;
  /** Has nothing sent, now or later; false when it is too late for that. */
  takeBack(): boolean;
}

/** What a socket took of a range. */
export interface SentPart {
  readonly isHeadSent: boolean;
  /** Of the range, without the head. */
  readonly sentBytes: number;
  /** Whether the connection is broken: nothing more can be sent. */
  readonly isCut: boolean;
  /** Why the drive could not be read on; null when it was. */
  readonly failure: unknown;
}

/** A body as it comes from a client. */
export interface IncomingBody {
  readonly lengthBytes: number;
  /** What has not been taken from the socket yet; ends early when the client stops. */
  chunks(): AsyncIterable<Uint8Array>;
  /** The client's own socket, to be read by a thread; null when the bytes do not come as they are, as with TLS. */
  takeSocket(): SocketInput | null;
}

/** A socket that nobody else reads from until it is given back. */
export interface SocketInput {
  readonly descriptor: number;
  /** The beginning of the body, which has been received before. */
  readonly received: Uint8Array;
  /** Gives the socket back, after so many bytes of the body were read from it. */
  giveBack(readBytes: number): void;
}

/** A body in lent memory. */
export interface ReceivedBody {
  /** How much of it, from its beginning, is encrypted for its place already. */
  readonly encryptedBytes: number;
  readonly segments: readonly { readonly address: number; readonly lengthBytes: number }[];
  release(): void;
}

/** What has been received of a body, in lent memory that is large enough for all of it. */
export interface BegunBody extends ReceivedBody {
  readonly receivedBytes: number;
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

/** Pieces that have all been read, and the digest of their bytes. */
export interface DigestedPieces extends LentPieces {
  readonly digest: BodyDigest;
}

export interface LentPiece {
  readonly bytes: Uint8Array;
  release(): void;
}
