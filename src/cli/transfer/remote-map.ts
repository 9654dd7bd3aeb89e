import { BLOCK_BYTES } from '../api/drive-api.ts';
import type { ByteRange, MapEntry } from '../api/drive-api.ts';

/** Blocks whose state is asked for in one request: 16 GiB of drive. */
const STATE_PAGE_BLOCKS = 4096;
/** Blocks whose hashes are asked for in one request; the server reads all of them before it can answer. */
const HASH_PAGE_BLOCKS = 16;

/** `unknown`: the server has no map, so the block may hold anything. */
export type BlockState = 'zero' | 'data' | 'unknown';

export type LoadMap = (range: ByteRange, withHash: boolean) => Promise<MapEntry[] | null>;

/**
 * What the drive holds, block by block, learned as it is needed: the states of a page of blocks at a time and, only
 * where something is to be compared, hashes. Blocks must be asked for in about ascending order: earlier pages are
 * forgotten, so that a drive of any size fits in memory.
 */
export class RemoteMap {
  readonly #states: PageCache<Uint8Array | null>;
  readonly #hashes: PageCache<(string | null)[]>;

  constructor(driveBytes: number, load: LoadMap) {
    this.#states = new PageCache(STATE_PAGE_BLOCKS, driveBytes, async (range) => {
      const entries = await load(range, false);
      return entries === null ? null : markZeroBlocks(range, entries);
    });
    this.#hashes = new PageCache(HASH_PAGE_BLOCKS, driveBytes, async (range) => {
      return collectHashes(range, (await load(range, true)) ?? []);
    });
  }

  async state(block: number): Promise<BlockState> {
    const page = await this.#states.page(block);
    if (page === null) return 'unknown';
    return page[block % STATE_PAGE_BLOCKS] === 1 ? 'zero' : 'data';
  }

  /** SHA-256 in hex; null when the server gives none. Begins to load what comes next. */
  async sha256(block: number): Promise<string | null> {
    const page = this.#hashes.page(block);
    this.#hashes.prefetch(block + HASH_PAGE_BLOCKS);
    return (await page)[block % HASH_PAGE_BLOCKS] ?? null;
  }
}

/** Pages by number, each loaded once; at most a few are kept. */
class PageCache<Page> {
  readonly #pageBlocks: number;
  readonly #driveBytes: number;
  readonly #load: (range: ByteRange) => Promise<Page>;
  readonly #pages = new Map<number, Promise<Page>>();

  constructor(pageBlocks: number, driveBytes: number, load: (range: ByteRange) => Promise<Page>) {
    this.#pageBlocks = pageBlocks;
    this.#driveBytes = driveBytes;
    this.#load = load;
  }

  page(block: number): Promise<Page> {
    const number = Math.floor(block / this.#pageBlocks);
    const known = this.#pages.get(number);
    if (known !== undefined) return known;
    for (const older of this.#pages.keys()) if (older < number - 2) this.#pages.delete(older);
    const pageBytes = this.#pageBlocks * BLOCK_BYTES;
    const offsetBytes = number * pageBytes;
    const loading = this.#load({
      offsetBytes,
      sizeBytes: Math.min(pageBytes, this.#driveBytes - offsetBytes),
    });
    this.#pages.set(number, loading);
    return loading;
  }

  prefetch(block: number): void {
    if (block * BLOCK_BYTES >= this.#driveBytes) return;
    // Whoever needs the page awaits the same promise and meets its error there.
    this.page(block).catch(() => undefined);
  }
}

/** One byte a block: 1 for a block that lies wholly within zeros. */
function markZeroBlocks(page: ByteRange, entries: readonly MapEntry[]): Uint8Array {
  const pageEndBytes = page.offsetBytes + page.sizeBytes;
  const marks = new Uint8Array(Math.ceil(page.sizeBytes / BLOCK_BYTES));
  for (const entry of entries) {
    if (!entry.isZero) continue;
    const endBytes = entry.offsetBytes + entry.sizeBytes;
    const first = Math.max(0, Math.ceil((entry.offsetBytes - page.offsetBytes) / BLOCK_BYTES));
    const wholeBlocks = Math.floor((endBytes - page.offsetBytes) / BLOCK_BYTES);
    marks.fill(1, first, endBytes >= pageEndBytes ? marks.length : Math.max(first, wholeBlocks));
  }
  return marks;
}

function collectHashes(page: ByteRange, entries: readonly MapEntry[]): (string | null)[] {
  const hashes: (string | null)[] = [];
  for (const entry of entries) {
    const block = (entry.offsetBytes - page.offsetBytes) / BLOCK_BYTES;
    if (Number.isInteger(block) && entry.sizeBytes <= BLOCK_BYTES) hashes[block] = entry.sha256;
  }
  return hashes;
}
