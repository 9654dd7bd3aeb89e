import type { BodyDigest, DigestAlgorithm } from '../core/body-digest.ts';
import type { Claim, ClaimAccess, ClaimName, ClaimProtocol } from '../core/claim.ts';
import type { ClaimType, Drive, DriveCipher, Tier } from '../core/drive.ts';
import type { DriveLimitsChange } from '../core/drive-limits.ts';
import type { Conversion } from '../core/imaging.ts';
import type { User } from '../core/user.ts';
import type { Range } from '../blockdev/block-device.ts';
import type { IncomingBody, NbdConnection, SocketInput, SocketOutput } from '../data-workers/volumes.ts';

export type { IncomingBody, SocketInput, SocketOutput };

/**
 * What Drivebay can do, as its listeners (http, nbd) see it. Every call throws DriveError and nothing else that a
 * caller could have caused; anything else is a mistake in Drivebay and becomes `failed`.
 */
export interface Service {
  readonly access: AccessService;
  readonly drives: DriveService;
  readonly driveData: DriveDataService;
  readonly claims: ClaimService;
  readonly attachments: AttachmentService;
  readonly administration: AdministrationService;
  readonly masterKeys: MasterKeyService;
  readonly health: HealthService;
}

/** Keys and values in the order in which they are shown; `size` and the like are numbers, absent when empty. */
export type Info = Readonly<Record<string, string | number>>;

export interface AccessService {
  /**
   * The user whose key this is; null when the user is unknown, disabled, or the key is wrong. Takes as long for each
   * of these, and longer the more often this user or this address has failed of late.
   */
  authenticate(login: { userId: string; key: string; address: string }): Promise<User | null>;
}

/** What create takes, parsed: sizes in bytes, lists as lists. An absent key is undefined. */
export interface CreateDriveInput {
  readonly name?: string | undefined;
  readonly sizeBytes: number;
  readonly claimType?: ClaimType | undefined;
  readonly readers?: readonly string[] | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Keys without their `user:` prefix; empty values are left out. */
  readonly attributes?: Readonly<Record<string, string>> | undefined;
  readonly avoid?: readonly string[] | undefined;
  readonly cipher?: DriveCipher | undefined;
  readonly tier?: Tier | undefined;
}

/** What set takes; only what is present changes. An empty list or value removes. */
export interface SetDriveInput {
  readonly name?: string | undefined;
  /** Undefined also for `size 0`. */
  readonly sizeBytes?: number | undefined;
  readonly claimType?: ClaimType | undefined;
  readonly readers?: readonly string[] | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Keys without their `user:` prefix; an empty value removes that key. */
  readonly attributes?: Readonly<Record<string, string>> | undefined;
  readonly tier?: Tier | undefined;
}

/** Which drives to list: the user's own, or those that all users may read; in the order of their UUIDs. */
export interface ListDrivesInput {
  readonly scope: 'own' | 'standard';
  readonly after?: string | undefined;
  /** Undefined for all. */
  readonly limit?: number | undefined;
  readonly tag?: string | undefined;
}

export interface DriveService {
  /** `idempotency`: the header's key, and the SHA-256 of the request's body. */
  create(
    actor: User,
    input: CreateDriveInput,
    idempotency?: { key: string; bodyHash: Uint8Array },
  ): Promise<Info>;
  set(actor: User, driveId: string, input: SetDriveInput): Promise<Info>;
  destroy(actor: User, driveId: string): Promise<void>;
  image(
    actor: User,
    request: { targetDriveId: string; sourceDriveId: string; conversion: Conversion },
  ): Promise<void>;
  info(actor: User, driveId: string, detail: InfoDetail): Promise<Info>;
  /** Pages of UUIDs, read as they are asked for. */
  list(actor: User, input: ListDrivesInput): AsyncIterable<readonly string[]>;
  /** Pages of drive info, read as they are asked for. */
  infos(actor: User, input: ListDrivesInput, detail: InfoDetail): AsyncIterable<readonly Info[]>;
  /** What was done since this process started to the user's drives in use, and to those used last. */
  activity(actor: User): AsyncIterable<readonly Info[]>;
}

/** `full` shows the percentage while imaging and, to the owner, who holds the drive and its limits. */
export type InfoDetail = 'brief' | 'full';

/** What claim takes. */
export interface ClaimDriveInput {
  readonly serverId: string;
  /** How the server is to reach the drive: `nbd`, by way of Drivebay, when absent. */
  readonly protocol?: ClaimProtocol | undefined;
  /** `rw` when absent. */
  readonly access?: ClaimAccess | undefined;
  /** How long the claim lasts unless renewed, 1 to 86400; until it is released when absent. */
  readonly leaseSeconds?: number | undefined;
  /** Whether to take the drive from a server that holds it exclusively. */
  readonly takeover?: boolean | undefined;
}

/** What renew takes. */
export interface RenewClaimInput {
  readonly serverId: string;
  readonly epoch: number;
  /** The length so far when absent. */
  readonly leaseSeconds?: number | undefined;
}

/** Which servers may use a drive. For its owner; for anybody else the drive is missing. */
export interface ClaimService {
  /**
   * The claim, and a URI with its secret for each listener that is on or, by `rbd`, where the drive's image is in Ceph. No
   * earlier claim's secret or image name is of use any more.
   */
  claim(actor: User, driveId: string, input: ClaimDriveInput): Promise<Info>;
  /** Succeeds also when the server does not hold the drive. */
  release(actor: User, driveId: string, input: { serverId: string }): Promise<void>;
  renew(actor: User, driveId: string, input: RenewClaimInput): Promise<Info>;
  list(actor: User, driveId: string): Promise<readonly Info[]>;
}

/** What a listener for servers needs to know. */
export interface AttachmentService {
  /**
   * The live claim that this secret belongs to, and its drive; null when there is none, or none any more. Does the
   * same work either way. Throws DriveError `system` while the drive's pool cannot be reached.
   */
  resolve(secret: string): Promise<Attachment | null>;
  /**
   * Whether this claim still stands. To be asked once a connection has been registered with `Connections`: a claim that
   * was replaced before that cut nothing, one that is replaced later will.
   */
  isCurrent(claim: ClaimName): Promise<boolean>;
  /**
   * Serves a connection under a claim until it ends, and says why it has: at once when the claim stands no more. Throws
   * DriveError `system` when the drive cannot be opened.
   */
  serve(attachment: Attachment, transmission: Transmission): Promise<string>;
}

/** An NBD connection whose handshake is over. */
export type Transmission = Omit<NbdConnection, 'isReadOnly' | 'limit' | 'stats' | 'life'>;

export interface Attachment {
  readonly claim: Claim;
  readonly drive: Drive;
}

export interface DriveDataService {
  /**
   * Checks the request, reads the first piece and returns; the rest is read as the pieces are asked for. Each piece's
   * memory is lent: it is valid until `release`, which must be called once for each, also after an error.
   * For a digest all of it is read first. With `socket` the answer is sent by a thread as far as
   * the client takes it at once; the pieces are then the rest.
   */
  read(actor: User, driveId: string, request: DriveReadRequest): Promise<DriveRead>;
  /** Returns once the data is on stable storage. Until the whole body has been received and found good, nothing changes. */
  write(actor: User, driveId: string, request: DriveWrite): Promise<void>;
  /** Blocks of 4 MiB from `offsetBytes`, a multiple of 4 MiB, in order, in pages. `hash` is the SHA-256 in hex. */
  map(
    actor: User,
    driveId: string,
    request: Range & { withHash: boolean },
  ): AsyncIterable<readonly BlockInfo[]>;
}

export interface DriveReadRequest extends Range {
  /** What digest of the bytes is wanted. */
  readonly digest: DigestAlgorithm | null;
  /** The client's own socket with the head of the answer; null when the caller sends everything itself. */
  readonly socket: SocketOutput | null;
}

export interface DriveRead {
  readonly digest: BodyDigest;
  /** Bytes of the drive that were sent, behind the head; null when not even the head was. */
  readonly sentBytes: number | null;
  /** What is still to be sent; nothing when the client is gone. It throws when that cannot be read. */
  readonly pieces: AsyncIterable<Piece>;
}

/** Part of a read, in order. */
export interface Piece {
  readonly bytes: Uint8Array;
  release(): void;
}

export interface DriveWrite {
  readonly offsetBytes: number;
  readonly encoding: 'identity' | 'gzip';
  /** What the body as sent must be. */
  readonly digest: BodyDigest;
  /** The body; not read at all when the request is refused before that. */
  readonly body: IncomingBody;
}

/** One block of the map; the last one of a drive may be shorter than 4 MiB. */
export interface BlockInfo extends Range {
  readonly isZero: boolean;
  /** Of the block's bytes; absent when not asked for, and for a zero block. */
  readonly sha256?: string | undefined;
}

export interface CreateUserInput {
  readonly name?: string | undefined;
  readonly isAdmin?: boolean | undefined;
  readonly quotaDrives?: number | undefined;
  readonly quotaBytes?: number | undefined;
}

/** Only what is present changes; null removes a name or a quota. */
export interface SetUserInput {
  readonly name?: string | null | undefined;
  readonly isAdmin?: boolean | undefined;
  readonly isDisabled?: boolean | undefined;
  readonly quotaDrives?: number | null | undefined;
  readonly quotaBytes?: number | null | undefined;
}

/** Where a drive is to lie, and of what tier it is then; of the one that it has when absent. */
export interface MoveDriveInput {
  readonly poolName: string;
  readonly tier?: Tier | undefined;
}

/** For admin users; for anybody else each of these is `missing`, as if the command did not exist. */
export interface AdministrationService {
  /** User info with its key, which is shown this once. */
  createUser(actor: User, input: CreateUserInput): Promise<Info>;
  setUser(actor: User, userId: string, input: SetUserInput): Promise<Info>;
  /** User info with the new key; the old one is dead. */
  rotateUserKey(actor: User, userId: string): Promise<Info>;
  userInfo(actor: User, userId: string): Promise<Info>;
  userInfos(actor: User): AsyncIterable<readonly Info[]>;
  poolInfos(actor: User): Promise<readonly Info[]>;
  nodeInfos(actor: User): Promise<readonly Info[]>;
  /** Changes what is given of the limits of a drive's I/O; null removes one. Answers with its info. */
  setDriveLimits(actor: User, driveId: string, change: DriveLimitsChange): Promise<Info>;
  /** Begins to move a drive to another pool while it is used; see `moveDrive`. Answers with its info. */
  moveDrive(actor: User, driveId: string, input: MoveDriveInput): Promise<Info>;
  /** Ends a drive's move, and leaves it where it was. Answers with its info. */
  cancelMove(actor: User, driveId: string): Promise<Info>;
  /** Any drive of any user. */
  driveInfo(actor: User, driveId: string): Promise<Info>;
  driveInfos(
    actor: User,
    page: { after?: string | undefined; limit?: number | undefined },
  ): AsyncIterable<readonly Info[]>;
  /** As for drives, of every user's, with the user. */
  activity(actor: User): AsyncIterable<readonly Info[]>;
}

/** For admin users, like administration. */
export interface MasterKeyService {
  /**
   * The passphrase that opens a drive's LUKS volume with any other tool. With `fillHoles`, what was never written is
   * first written as encrypted zeros, because other tools would read noise there; that ends with the signal's reason
   * when it is aborted, and goes on where it was when it is asked for again.
   */
  exportKey(
    actor: User,
    driveId: string,
    request: { fillHoles: boolean; signal: AbortSignal },
  ): Promise<Info>;
  /** Makes a new master key current (or takes the one that the operator has put first), and wraps every drive's keys anew under it. */
  rotate(actor: User): Promise<Info>;
}

export interface HealthService {
  /** Throws DriveError `system` while Drivebay cannot serve, or is about to stop. */
  checkReady(): Promise<void>;
}
