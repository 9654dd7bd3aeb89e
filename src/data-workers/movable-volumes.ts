import type { Range } from '../blockdev/block-device.ts';
import type { DigestAlgorithm } from '../core/body-digest.ts';
import { driveOfVolume } from '../core/volume-name.ts';
import { MovableConnection } from './movable-connection.ts';
import type { MappedBlock } from './protocol.ts';
import type { StoredVolumes } from './stored-volumes.ts';
import type { StoredVolume, VolumeSpec } from './volume.ts';
import { VolumePlaces } from './volume-places.ts';
import type {
  AttachedConnection,
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
  Volumes,
} from './volumes.ts';

/**
 * Volumes whose drives can move while they are in use.
 *
 * @param life in which life of the process it is; see `poolLife`
 */
export function createMovableVolumes(volumes: StoredVolumes, life: () => number): Volumes {
  return new MovableVolumes(volumes, life);
}

/**
 * What changes a drive waits while it may not be changed; what reads it never waits: where it is, it stays as it was until
 * the last reader has left.
 */
class MovableVolumes implements Volumes {
  readonly #volumes: StoredVolumes;
  readonly #places: VolumePlaces;
  readonly #connections = new Map<string, Set<MovableConnection>>();

  constructor(volumes: StoredVolumes, life: () => number) {
    this.#volumes = volumes;
    this.#places = new VolumePlaces(life);
  }

  async create(spec: VolumeSpec, passphrase: string | null): Promise<void> {
    await this.#volumes.create(spec, passphrase);
  }

  async remove(
    volume: StoredVolume,
    { isLeft, life = null }: { isLeft: boolean; life?: number | null } = { isLeft: false },
  ): Promise<void> {
    if (isLeft) await this.#places.unused(volume);
    await this.#volumes.remove(volume, life);
    if (!isLeft) this.#places.destroyed(volume);
  }

  async resize(spec: VolumeSpec, change: VolumeResize): Promise<void> {
    await this.#places.changing(spec, (place) => this.#volumes.resize(place, change), change.life);
  }

  async read(spec: VolumeSpec, range: Range): Promise<LentPieces> {
    const { place, end } = this.#places.use(spec);
    try {
      return untilRead(await this.#volumes.read(place, range), end);
    } catch (error) {
      end();
      throw error;
    }
  }

  async readWithDigest(spec: VolumeSpec, range: Range, algorithm: DigestAlgorithm): Promise<DigestedPieces> {
    return await this.#places.reading(spec, (place) => this.#volumes.readWithDigest(place, range, algorithm));
  }

  send(spec: VolumeSpec, range: Range, socket: SocketOutput): Sending {
    const { place, end } = this.#places.use(spec);
    const sending = this.#volumes.send(place, range, socket);
    return { ...sending, done: sending.done.finally(end) };
  }

  async *readSlowly(spec: VolumeSpec, range: Range): AsyncGenerator<LentPiece> {
    const { place, end } = this.#places.use(spec);
    try {
      yield* this.#volumes.readSlowly(place, range);
    } finally {
      end();
    }
  }

  async writeAsReceived(spec: VolumeSpec, write: DirectWrite): Promise<number | BegunBody | null> {
    if (this.#places.pauseOf(spec) !== null) return null;
    const take = async (place: VolumeSpec): Promise<number | BegunBody | null> =>
      await this.#volumes.writeAsReceived(place, write);
    return await this.#places.changing(spec, take, write.life);
  }

  async receive(
    spec: VolumeSpec,
    body: IncomingBody,
    write: BodyPlace,
    begun: BegunBody | null = null,
  ): Promise<ReceivedBody> {
    return await this.#places.reading(spec, (place) => this.#volumes.receive(place, body, write, begun));
  }

  async write(spec: VolumeSpec, request: BodyWrite): Promise<number> {
    const write = async (place: VolumeSpec): Promise<number> => await this.#volumes.write(place, request);
    return await this.#places.changing(spec, write, request.life);
  }

  async map(spec: VolumeSpec, request: { range: Range; withHash: boolean }): Promise<readonly MappedBlock[]> {
    return await this.#places.reading(spec, (place) => this.#volumes.map(place, request));
  }

  async fillHoles(spec: VolumeSpec, fill: HoleFill): Promise<number> {
    return await this.#places.changing(spec, (place) => this.#volumes.fillHoles(place, fill), fill.life);
  }

  attach(spec: VolumeSpec, connection: NbdConnection): AttachedConnection {
    const driveId = driveOfVolume(spec.volumeName);
    let place = this.#places.current(spec, connection.life);
    const movable = new MovableConnection({
      leftover: connection.leftover,
      pauseOf: () => this.#places.pauseOf(spec),
      attach: (leftover) => {
        place = this.#places.current(place);
        return this.#volumes.attach(place, { ...connection, leftover });
      },
    });
    const connections = this.#connections.get(driveId) ?? new Set();
    this.#connections.set(driveId, connections.add(movable));
    const forget = (): void => {
      connections.delete(movable);
      if (connections.size === 0 && this.#connections.get(driveId) === connections) {
        this.#connections.delete(driveId);
      }
    };
    movable.ended.then(forget, forget);
    return movable;
  }

  forgetMove(driveId: string): void {
    this.#places.forget(driveId);
  }

  async relocate(driveId: string, work: () => Promise<string | null>): Promise<void> {
    await this.#places.relocate(driveId, async () => {
      const connections = this.#connections.get(driveId) ?? [];
      await Promise.all([...connections].map((connection) => connection.halt()));
      return await work();
    });
  }
}

/** The same pieces; `end` is called when no more are read. */
function untilRead({ pieces, abandon }: LentPieces, end: () => void): LentPieces {
  const iterator = pieces[Symbol.asyncIterator]();
  const ending: AsyncIterator<LentPiece> = {
    async next() {
      try {
        const result = await iterator.next();
        if (result.done === true) end();
        return result;
      } catch (error) {
        end();
        throw error;
      }
    },
    async return() {
      end();
      return (await iterator.return?.()) ?? { done: true, value: undefined };
    },
  };
  return {
    pieces: { [Symbol.asyncIterator]: () => ending },
    abandon() {
      end();
      abandon();
    },
  };
}
