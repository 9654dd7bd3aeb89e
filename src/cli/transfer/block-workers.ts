import { BLOCK_BYTES } from '../api/drive-api.ts';
import type { PreferHugePages } from '../cli-io.ts';
import type { TransferContext } from './transfer.ts';

/** One block of a drive; the last one may be short. */
export interface Block {
  readonly number: number;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  /** Memory of the worker that has the block, of exactly `sizeBytes`; the next block's contents go there too. */
  readonly buffer: Buffer;
}

/** Does something with one block. It is called in ascending order of blocks, up to its first await. */
export type BlockTask = (block: Block) => Promise<void>;

/**
 * Runs the task over all blocks of a drive, several at a time, each worker with one buffer that it uses again and
 * again: allocating 4 MiB costs more than reading it. The first failure stops the others before their next block.
 */
export async function forEachBlock(
  options: Pick<TransferContext, 'driveBytes' | 'parallel' | 'interruption' | 'preferHugePages'>,
  task: BlockTask,
): Promise<void> {
  const blocks = Math.ceil(options.driveBytes / BLOCK_BYTES);
  const count = Math.max(1, Math.min(options.parallel, blocks));
  let next = 0;
  let hasFailed = false;

  async function work(memory: Buffer): Promise<void> {
    while (next < blocks && !hasFailed && !options.interruption.hasHappened) {
      const number = next++;
      const offsetBytes = number * BLOCK_BYTES;
      const sizeBytes = Math.min(BLOCK_BYTES, options.driveBytes - offsetBytes);
      try {
        await task({ number, offsetBytes, sizeBytes, buffer: memory.subarray(0, sizeBytes) });
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  }

  const workers = alignedBuffers(count, options.preferHugePages).map(work);
  const results = await Promise.allSettled(workers);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

const WASM_PAGE_BYTES = 65536;

/** Buffers of a block each that begin on a page, as writes past the page cache need: Node's own begin anywhere. */
export function alignedBuffers(count: number, preferHugePages?: PreferHugePages): Buffer[] {
  const memory = new WebAssembly.Memory<ArrayBuffer>({ initial: (count * BLOCK_BYTES) / WASM_PAGE_BYTES });
  preferHugePages?.(memory.buffer);
  return Array.from({ length: count }, (_, index) =>
    Buffer.from(memory.buffer, index * BLOCK_BYTES, BLOCK_BYTES),
  );
}
