import type { Range } from '../blockdev/block-device.ts';
import { isSectorRange } from '../blockdev/layers/in-place-write.ts';
import type { DigestAlgorithm } from '../core/body-digest.ts';
import type { Arena, Segment } from './arena.ts';
import { loadSocketCalls } from '../runtime/socket-calls.ts';
import { viewOf } from './arena.ts';
import { PAIRED_BYTES, PoolDigests } from './body-digests.ts';
import { receiveBody, receiveRest } from './body-receiver.ts';
import { checkDigest } from './body-write.ts';
import type { DataThreadClient } from './data-thread-client.ts';
import type { DataThreadGroup } from './data-thread-group.ts';
import { writeFromSocket } from './direct-write.ts';
import { flushPatiently } from './patient-flush.ts';
import { createFlushGroup } from './flush-group.ts';
import type { FlushGroup } from './flush-group.ts';
import { pieceCount, readPieces, READ_WINDOW_PIECES } from './piece-reader.ts';
import { allSettledThenThrow, lendTogether, placed } from './lent-pieces.ts';
import type { PieceLender } from './piece-lender.ts';
import type { Pools } from './pools.ts';
import type { StoredVolume, VolumeSpec } from './volume.ts';
import type { ServedAttachment, StoredVolumes } from './stored-volumes.ts';
import type {
  BegunBody,
  BodyPlace,
  BodyWrite,
  DigestedPieces,
  DirectWrite,
  HoleFill,
  IncomingBody,
  LentPiece,
  LentPieces,
  NbdConnection,
  ReceivedBody,
  Sending,
  SocketOutput,
  VolumeResize,
} from './volumes.ts';
import type { MappedBlock, Operations } from './protocol.ts';
import { sendRange } from './range-sender.ts';
import { poolFailure } from './pool-failure.ts';

/** The memory of one read from a pool over a network: 4 MiB, and a piece for what is sent before them. */
const REMOTE_PIECES = 5;
/** What a slow client's read holds of ordinary memory while it waits. */
const SLOW_READ_BYTES = 64 * 1024;

export interface ThreadVolumesOptions {
  readonly arena: Arena;
  /** Memory for reads and for bodies apart, so that neither can keep the other waiting. */
  readonly readLender: PieceLender;
  readonly bodyLender: PieceLender;
  readonly pools: Pools;
}

/** Volumes served by each pool's own data threads. */
export function createThreadVolumes(options: ThreadVolumesOptions): StoredVolumes {
  return new ThreadVolumes(options);
}

class ThreadVolumes implements StoredVolumes {
  readonly #options: ThreadVolumesOptions;
  readonly #memory: WebAssembly.Memory;
  readonly #sockets = loadSocketCalls();
  #lastConnectionId = 0;
  #lastReceiptId = 0;
  readonly #flushGroups = new Map<string, FlushGroup>();
  readonly #digests: PoolDigests;
  /** To be called when a body that was announced is hashed. */
  readonly #announcements = new WeakMap<ReceivedBody, () => void>();

  constructor(options: ThreadVolumesOptions) {
    this.#options = options;
    this.#memory = options.arena.memory;
    this.#digests = new PoolDigests(async (poolName, bodies) => {
      const thread = options.pools.threadsOf(poolName).leastBusy();
      return await thread.call('sha256', { bodies });
    });
  }

  async create(spec: VolumeSpec, passphrase: string | null): Promise<void> {
    await answered(spec, () => this.#groupOf(spec).leastBusy().call('create', { spec, passphrase }));
  }

  async remove(volume: StoredVolume, life: number | null): Promise<void> {
    await this.#close(volume);
    const { volumeName } = volume;
    await answered(volume, () => this.#groupOf(volume).leastBusy().call('remove', { volumeName, life }));
  }

  async resize(spec: VolumeSpec, change: VolumeResize): Promise<void> {
    // One that is open may be of before another node has resized it, and to the same size again.
    await this.#close(spec);
    const { volumeName } = spec;
    await this.#onVolume(spec, (thread) => thread.call('resize', { volumeName, ...change }));
    await this.#close(spec);
  }

  async read(spec: VolumeSpec, range: Range): Promise<LentPieces> {
    const loan = await this.#options.readLender.borrow(Math.min(READ_WINDOW_PIECES, pieceCount(range)));
    let thread: DataThreadClient;
    try {
      thread = await this.#openIn(spec);
    } catch (error) {
      loan.release();
      throw error;
    }
    const readPiece = (offsetBytes: number, into: Segment): Promise<unknown> =>
      answered(spec, () => thread.call('read', { volumeName: spec.volumeName, offsetBytes, into }));
    return await readPieces({ range, loan, memory: this.#memory, readPiece });
  }

  async readWithDigest(spec: VolumeSpec, range: Range, algorithm: DigestAlgorithm): Promise<DigestedPieces> {
    const loan = await this.#options.readLender.borrow(pieceCount(range));
    try {
      const placements = placed(range, loan.segments);
      const segments = placements.map(({ segment }) => segment);
      const isHashed = algorithm === 'sha-256';
      const endAnnouncement = this.#digests.of(spec).announce(isHashed ? range.lengthBytes : 0);
      const gmac = await this.#onVolume(spec, async (thread) => {
        const reads = placements.map(({ offsetBytes, segment }) =>
          thread.call('read', { volumeName: spec.volumeName, offsetBytes, into: segment }),
        );
        await allSettledThenThrow(reads);
        return isHashed ? null : await thread.call('gmac', { segments });
      }).finally(endAnnouncement);
      const sha256 = isHashed ? await this.#digests.of(spec).sha256(segments) : null;
      const views = segments.map((segment) => viewOf(this.#memory, segment));
      return { digest: { sha256, gmac }, ...lendTogether(views, () => loan.release()) };
    } catch (error) {
      loan.release();
      throw error;
    }
  }

  send(spec: VolumeSpec, range: Range, socket: SocketOutput): Sending {
    const parts = {
      memory: this.#memory,
      lender: this.#options.readLender,
      pieceCount: this.#piecesToSend(spec, range),
      sockets: this.#sockets,
      sendInThread: (request: Omit<Operations['send']['request'], 'volumeName'>) =>
        this.#onVolume(spec, (thread) => thread.call('send', { volumeName: spec.volumeName, ...request })),
    };
    const { done, takeBack } = sendRange(parts, range, socket);
    return { done: answered(spec, () => done), takeBack };
  }

  /** Over a network the whole is asked for at once: what comes in parts is waited for as often. */
  #piecesToSend(spec: VolumeSpec, range: Range): number {
    if (!this.#isRemote(spec)) return 1;
    return Math.min(pieceCount(range) + 1, REMOTE_PIECES, this.#options.readLender.pieceCount);
  }

  async *readSlowly(spec: VolumeSpec, range: Range): AsyncGenerator<LentPiece> {
    const end = range.offsetBytes + range.lengthBytes;
    for (let { offsetBytes } = range; offsetBytes < end; offsetBytes += SLOW_READ_BYTES) {
      const lengthBytes = Math.min(SLOW_READ_BYTES, end - offsetBytes);
      const { pieces } = await this.read(spec, { offsetBytes, lengthBytes });
      for await (const piece of pieces) {
        const bytes = Buffer.from(piece.bytes);
        piece.release();
        yield { bytes, release: () => undefined };
      }
    }
  }

  async writeAsReceived(spec: VolumeSpec, write: DirectWrite): Promise<number | BegunBody | null> {
    const { offsetBytes, body } = write;
    const { volumeName, poolName } = spec;
    const thread = this.#groupOf(spec).leastBusy();
    if (!thread.isOpen(spec)) return null;
    this.#lastReceiptId += 1;
    const isAhead = canEncryptAhead(spec, write, body.lengthBytes);
    const outcome = await answered(spec, () =>
      writeFromSocket(write, {
        thread,
        receiptId: this.#lastReceiptId,
        volumeName,
        lender: this.#options.bodyLender,
        memory: this.#memory,
        encryption: isAhead ? { volumeName, offsetBytes } : null,
        admit: () => this.#options.pools.admitKnown(poolName, body.lengthBytes),
        withOwnDescriptor: (descriptor, work) => this.#withOwnDescriptor(descriptor, work),
      }),
    );
    if (outcome === null || 'release' in outcome) return outcome;
    if (outcome.writtenBytes > 0 && !outcome.isDurable) await this.#flush(spec);
    return outcome.writtenBytes;
  }

  async receive(
    spec: VolumeSpec,
    body: IncomingBody,
    write: BodyPlace,
    begun: BegunBody | null = null,
  ): Promise<ReceivedBody> {
    if (begun !== null) return await receiveRest(body, begun, this.#memory);
    const { volumeName } = spec;
    const { offsetBytes } = write;
    const isAhead = canEncryptAhead(spec, write, body.lengthBytes);
    const encryption = isAhead ? { volumeName, offsetBytes } : null;
    const receiving = receiveBody(body, {
      lender: this.#options.bodyLender,
      memory: this.#memory,
      receiveFrom: async (descriptor, space) =>
        await this.#withOwnDescriptor(descriptor, async (own) => {
          const thread = this.#groupOf(spec).leastBusy();
          if (isAhead) await answered(spec, async () => await thread.ensureOpenAnySize(spec));
          return await thread.call('receive', { descriptor: own, ...space, encryption, receiptId: null });
        }),
    });
    const hashedBytes = write.digest.sha256 === null ? 0 : body.lengthBytes;
    return await this.#announced(receiving, this.#digests.of(spec).announce(hashedBytes));
  }

  async write(spec: VolumeSpec, write: BodyWrite): Promise<number> {
    const { writtenBytes, isDurable } = await this.#writeAdmitted(spec, write);
    if (writtenBytes > 0 && !isDurable) await this.#flush(spec);
    return writtenBytes;
  }

  attach(spec: VolumeSpec, connection: NbdConnection): ServedAttachment {
    const { pools } = this.#options;
    const thread = pools.connectionThreadsOf(spec.poolName).leastBusy();
    this.#lastConnectionId += 1;
    const connectionId = this.#lastConnectionId;
    const poolState = pools.lowWordOf(spec.poolName);
    let hasEnded = false;
    const flush = (): Promise<void> => this.#flush(spec);
    const patient = (): Promise<void> => flushPatiently(flush, () => hasEnded);
    const flushForIt = this.#isRemote(spec) ? patient : flush;
    const ended = answered(spec, () =>
      this.#withOwnDescriptor(connection.descriptor, (descriptor) =>
        thread.attach({ ...connection, connectionId, spec, descriptor, poolState }, flushForIt),
      ),
    ).finally(() => {
      hasEnded = true;
    });
    return {
      ended,
      async release() {
        await thread.call('release', { connectionId });
      },
      async detach() {
        await thread.call('detach', { connectionId });
        await ended.catch(() => undefined);
      },
    };
  }

  async map(
    spec: VolumeSpec,
    { range, withHash }: { range: Range; withHash: boolean },
  ): Promise<readonly MappedBlock[]> {
    const { volumeName } = spec;
    return await this.#onVolume(spec, (thread) => thread.call('map', { volumeName, range, withHash }));
  }

  async fillHoles(spec: VolumeSpec, fill: HoleFill): Promise<number> {
    const { volumeName } = spec;
    const done = await this.#options.pools.admit(spec.poolName, fill.range.lengthBytes);
    let writtenBytes = 0;
    try {
      writtenBytes = await this.#onVolume(spec, (thread) =>
        thread.call('fillHoles', { volumeName, ...fill }),
      );
    } finally {
      done(writtenBytes);
    }
    if (writtenBytes > 0) await this.#flush(spec);
    return writtenBytes;
  }

  #isRemote({ poolName }: StoredVolume): boolean {
    return this.#options.pools.configs.some(({ spec }) => spec.name === poolName && spec.kind === 'rbd');
  }

  async #close(volume: StoredVolume): Promise<void> {
    this.#flushGroups.delete(keyOf(volume));
    await this.#groupOf(volume).closeVolume(volume.volumeName);
  }

  #groupOf({ poolName }: StoredVolume): DataThreadGroup {
    return this.#options.pools.threadsOf(poolName);
  }

  /** The announcement ends when the body is hashed or given back, whichever is first. */
  async #announced(receiving: Promise<ReceivedBody>, end: () => void): Promise<ReceivedBody> {
    try {
      const received = await receiving;
      const body = {
        ...received,
        release() {
          end();
          received.release();
        },
      };
      this.#announcements.set(body, end);
      return body;
    } catch (error) {
      end();
      throw error;
    }
  }

  /** Works with a second descriptor of the socket: the first one may be closed, and its number used anew, meanwhile. */
  async #withOwnDescriptor<Result>(
    descriptor: number,
    work: (own: number) => Promise<Result>,
  ): Promise<Result> {
    const own = this.#sockets.duplicate(descriptor);
    try {
      return await work(own);
    } finally {
      this.#sockets.close(own);
    }
  }

  /** A thread that has the volume open. */
  async #openIn(spec: VolumeSpec): Promise<DataThreadClient> {
    const thread = this.#groupOf(spec).leastBusy();
    await answered(spec, async () => await thread.ensureOpen(spec));
    return thread;
  }

  async #onVolume<Result>(
    spec: VolumeSpec,
    work: (thread: DataThreadClient) => Promise<Result>,
  ): Promise<Result> {
    const thread = await this.#openIn(spec);
    return await answered(spec, () => work(thread));
  }

  async #flush(spec: VolumeSpec): Promise<void> {
    const { volumeName } = spec;
    let group = this.#flushGroups.get(keyOf(spec));
    if (group === undefined) {
      group = createFlushGroup(async () => {
        const thread = this.#groupOf(spec).leastBusy();
        await answered(spec, async () => {
          await thread.ensureOpenAnySize(spec);
          await thread.call('flush', { volumeName });
        });
      });
      this.#flushGroups.set(keyOf(spec), group);
    }
    await group.flush();
  }

  async #writeAdmitted(spec: VolumeSpec, write: BodyWrite): Promise<Operations['write']['result']> {
    const { life, offsetBytes, body, encoding, digest } = write;
    const bodyBytes = body.segments.reduce((sum, segment) => sum + segment.lengthBytes, 0);
    const { isPoolLow, done } = await this.#options.pools.admitWrite(spec.poolName, bodyBytes);
    let writtenBytes = 0;
    try {
      const { sha256 } = digest;
      const isCompared = sha256 !== null && bodyBytes >= PAIRED_BYTES;
      this.#announcements.get(body)?.();
      if (isCompared) checkDigest('sha-256', await this.#digests.of(spec).sha256(body.segments), sha256);
      const { segments, encryptedBytes } = body;
      const left = { digest: isCompared ? { ...digest, sha256: null } : digest, isPoolLow };
      const task = { offsetBytes, segments, encryptedBytes, encoding, ...left };
      const { volumeName } = spec;
      const written = await this.#onVolume(spec, (thread) =>
        thread.call('write', { volumeName, life, task }),
      );
      ({ writtenBytes } = written);
      return written;
    } finally {
      done(writtenBytes);
    }
  }
}

/** Whether nothing that will be looked at is lost when a body is encrypted while it comes. */
function canEncryptAhead(
  { volumeKey }: VolumeSpec,
  { offsetBytes, encoding, digest }: BodyPlace,
  lengthBytes: number,
): boolean {
  const isPlain = encoding === 'identity' && digest.sha256 === null && digest.gmac === null;
  return volumeKey !== null && isPlain && isSectorRange({ offsetBytes, lengthBytes });
}

function keyOf({ volumeName, poolName }: StoredVolume): string {
  return `${poolName} ${volumeName}`;
}

/** Translates what the operating system says of a pool into an error of the domain. */
async function answered<Result>(volume: StoredVolume, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw poolFailure(error, volume);
  }
}
