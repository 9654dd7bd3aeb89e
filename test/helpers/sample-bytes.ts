import { createHash } from 'node:crypto';

const BLOCK_BYTES = 4 * 1024 * 1024;

/** Bytes that look random and are the same each time, so that a failure can be repeated. */
export function noise(seed: string, sizeBytes: number): Buffer {
  return createHash('shake256', { outputLength: sizeBytes }).update(seed).digest();
}

/** An image of 4 MiB blocks: `d` for data, `z` for zeros, each data block different. */
export function image(pattern: string, tailBytes = 0): Buffer {
  const blocks = [...pattern].map((kind, index) => {
    const block = Buffer.alloc(BLOCK_BYTES);
    if (kind === 'd') noise(`block ${index}`, 4096).copy(block, 1000);
    return block;
  });
  return Buffer.concat([...blocks, noise('tail', tailBytes)]);
}
