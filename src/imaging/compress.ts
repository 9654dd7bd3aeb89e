import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';
import { MIB } from '../core/sizes.ts';
import { dataStretches, readBytes } from './drive-bytes.ts';
import type { ImagedDrive } from './drive-bytes.ts';
import type { EngineHooks } from './engine-hooks.ts';
import { createTargetWriter } from './target-writer.ts';
import { isZero } from './zero-blocks.ts';

/** What one gzip member or zstd frame holds: enough to compress well, little enough to share out among the cores. */
export const COMPRESS_BLOCK_BYTES = MIB;
/** Members come out in one piece when this much room is offered. */
const MEMBER_ROOM_BYTES = COMPRESS_BLOCK_BYTES + 64 * 1024;
/** The levels that the tools themselves take when not told otherwise. */
const GZIP_LEVEL = 6;
const ZSTD_LEVEL = 3;

const gzipBlock = promisify(gzip);
const zstdBlock = promisify(zstdCompress);

type Packing = 'gzip' | 'zstd';

/** A block of the source: its bytes in memory, or known to be zeros. */
interface Block {
  readonly lengthBytes: number;
  readonly dataBytes: number;
  readonly slot: Buffer | null;
  readonly packed: Promise<Buffer>;
}

export interface Compression {
  readonly source: ImagedDrive;
  readonly target: ImagedDrive;
  readonly packing: Packing;
  /** For one piece of output. */
  readonly buffer: Buffer;
  /** Each for one block that is being compressed: as many are in work at once. */
  readonly slots: readonly Buffer[];
}

/**
 * Packs the source into the beginning of the target, which reads as zeros, as gzip members (RFC 1952) or zstd frames
 * (RFC 8878) of a block each. Blocks are compressed side by side in the threads of libuv; holes are not read.
 *
 * @throws DriveError usage when the result does not fit
 */
export async function compress(compression: Compression, hooks: EngineHooks): Promise<void> {
  const { source, target, packing, buffer, slots } = compression;
  const misfit = `Drive ${source.driveId} packed with ${packing} does not fit into the ${target.sizeBytes} bytes of drive ${target.driveId}.`;
  const writer = createTargetWriter({ target, buffer, misfit }, hooks);
  const freeSlots = [...slots];
  const inWork: Block[] = [];
  const zeroMembers = new Map<number, Promise<Buffer>>();

  async function takeOldest(): Promise<void> {
    const block = inWork.shift();
    if (block === undefined) return;
    await writer.append(await block.packed);
    if (block.slot !== null) freeSlots.push(block.slot);
    hooks.addDone(block.dataBytes);
  }

  function zeroMember(lengthBytes: number): Promise<Buffer> {
    let member = zeroMembers.get(lengthBytes);
    if (member === undefined) {
      member = pack(Buffer.alloc(lengthBytes), packing);
      zeroMembers.set(lengthBytes, member);
    }
    return member;
  }

  try {
    for await (const { offsetBytes, lengthBytes, dataBytes } of sourceBlocks(source)) {
      hooks.checkRunning();
      while (inWork.length >= slots.length) await takeOldest();
      const slot = dataBytes === 0 ? undefined : freeSlots.pop();
      const bytes =
        slot === undefined ? null : await readBytes(source, offsetBytes, { buffer: slot, lengthBytes });
      const packed = bytes === null || isZero(bytes) ? zeroMember(lengthBytes) : pack(bytes, packing);
      inWork.push({ lengthBytes, dataBytes, slot: slot ?? null, packed });
    }
    while (inWork.length > 0) await takeOldest();
    await writer.finish();
  } finally {
    // The slots belong to somebody else once this returns, so nothing may be reading them any more.
    await Promise.allSettled(inWork.map((block) => block.packed));
  }
}

/** The source cut into blocks, in order, with how much data each may hold. */
async function* sourceBlocks(
  source: ImagedDrive,
): AsyncGenerator<{ offsetBytes: number; lengthBytes: number; dataBytes: number }> {
  let at = 0;
  let dataBytes = 0;
  const blockAt = (): { offsetBytes: number; lengthBytes: number; dataBytes: number } => ({
    offsetBytes: at,
    lengthBytes: Math.min(COMPRESS_BLOCK_BYTES, source.sizeBytes - at),
    dataBytes,
  });
  for await (const stretch of dataStretches(source, { offsetBytes: 0, lengthBytes: source.sizeBytes })) {
    let { offsetBytes } = stretch;
    const end = offsetBytes + stretch.lengthBytes;
    while (offsetBytes < end) {
      for (; at + COMPRESS_BLOCK_BYTES <= offsetBytes; at += COMPRESS_BLOCK_BYTES) {
        yield blockAt();
        dataBytes = 0;
      }
      const part = Math.min(end, at + COMPRESS_BLOCK_BYTES) - offsetBytes;
      dataBytes += part;
      offsetBytes += part;
    }
  }
  for (; at < source.sizeBytes; at += COMPRESS_BLOCK_BYTES) {
    yield blockAt();
    dataBytes = 0;
  }
}

async function pack(bytes: Buffer, packing: Packing): Promise<Buffer> {
  if (packing === 'gzip') return await gzipBlock(bytes, { level: GZIP_LEVEL, chunkSize: MEMBER_ROOM_BYTES });
  return await zstdBlock(bytes, {
    chunkSize: MEMBER_ROOM_BYTES,
    pledgedSrcSize: bytes.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
}
