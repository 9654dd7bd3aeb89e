import type { Segment } from './arena.ts';

/** From here on two bodies are hashed at once where that takes as long as one. */
export const PAIRED_BYTES = 256 * 1024;
/** How long one waits for another that is on its way: about as long as a fast client takes to send it. */
const PAIR_WAIT_MS = 10;

/** SHA-256 of bodies in the arena, hashed by a data thread; one or two at a time. */
export type HashBodies = (bodies: readonly (readonly Segment[])[]) => Promise<readonly Uint8Array[]>;

/** As `HashBodies`, by a thread of the pool. */
type HashBodiesIn = (
  poolName: string,
  bodies: readonly (readonly Segment[])[],
) => Promise<readonly Uint8Array[]>;

interface WaitingBody {
  readonly segments: readonly Segment[];
  resolve(sha256: Promise<Uint8Array>): void;
}

/** Hashes large bodies by twos when several are under way; one that is alone never waits. */
export class BodyDigests {
  readonly #hashBodies: HashBodies;
  /** Bodies that are likely to be hashed soon. */
  #announced = 0;
  #waiting: WaitingBody | null = null;

  constructor(hashBodies: HashBodies) {
    this.#hashBodies = hashBodies;
  }

  /** Says that a body is on its way that may have to be hashed, until the function it returns is first called. */
  announce(lengthBytes: number): () => void {
    if (lengthBytes < PAIRED_BYTES) return () => undefined;
    let isOver = false;
    this.#announced += 1;
    return () => {
      if (!isOver) this.#announced -= 1;
      isOver = true;
    };
  }

  async sha256(segments: readonly Segment[]): Promise<Uint8Array> {
    const lengthBytes = segments.reduce((sum, segment) => sum + segment.lengthBytes, 0);
    if (lengthBytes < PAIRED_BYTES) return await this.#hashAlone(segments);
    const waiting = this.#waiting;
    if (waiting !== null) return await this.#hashBoth(waiting, segments);
    if (this.#announced === 0) return await this.#hashAlone(segments);
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    const body: WaitingBody = { segments, resolve };
    this.#waiting = body;
    const timer = setTimeout(() => {
      if (this.#waiting !== body) return;
      this.#waiting = null;
      resolve(this.#hashAlone(segments));
    }, PAIR_WAIT_MS);
    return await promise.finally(() => clearTimeout(timer));
  }

  async #hashBoth(waiting: WaitingBody, segments: readonly Segment[]): Promise<Uint8Array> {
    this.#waiting = null;
    const hashing = this.#hashBodies([waiting.segments, segments]);
    waiting.resolve(hashing.then(([first]) => expectHash(first)));
    return expectHash((await hashing)[1]);
  }

  async #hashAlone(segments: readonly Segment[]): Promise<Uint8Array> {
    return expectHash((await this.#hashBodies([segments]))[0]);
  }
}

/** Each pool's own, so that nobody waits for a thread of a pool whose disk has stalled. */
export class PoolDigests {
  readonly #hashIn: HashBodiesIn;
  readonly #ofPools = new Map<string, BodyDigests>();

  constructor(hashIn: HashBodiesIn) {
    this.#hashIn = hashIn;
  }

  of({ poolName }: { poolName: string }): BodyDigests {
    let digests = this.#ofPools.get(poolName);
    if (digests === undefined) {
      digests = new BodyDigests((bodies) => this.#hashIn(poolName, bodies));
      this.#ofPools.set(poolName, digests);
    }
    return digests;
  }
}

function expectHash(sha256: Uint8Array | undefined): Uint8Array {
  if (sha256 === undefined) throw new Error('A data thread has left a body unhashed.');
  return sha256;
}
