import { hash } from 'node:crypto';
import type { BlockDevice, Extent, Range } from '../blockdev/block-device.ts';
import { MIB } from '../core/sizes.ts';
import type { MappedBlock } from './protocol.ts';

/** The unit of the block map. */
export const MAP_BLOCK_BYTES = 4 * MIB;

/**
 * Says of each block of the range whether it is known to read as zeros and, when asked for, its SHA-256.
 * Without hashes only the extents are looked at and nothing is read; a block is then called zero only when it is a
 * hole. With hashes a block whose bytes are all zero is called zero too.
 */
export async function mapBlocks(
  device: BlockDevice,
  { range, withHash }: { range: Range; withHash: boolean },
): Promise<readonly MappedBlock[]> {
  const extents = await device.extents(range);
  const buffer = withHash ? Buffer.allocUnsafeSlow(MAP_BLOCK_BYTES) : null;
  const zeros = withHash ? Buffer.alloc(MAP_BLOCK_BYTES) : null;
  const blocks: MappedBlock[] = [];
  const cursor = { index: 0 };
  const end = range.offsetBytes + range.lengthBytes;
  for (let offsetBytes = range.offsetBytes; offsetBytes < end; offsetBytes += MAP_BLOCK_BYTES) {
    const block = { offsetBytes, lengthBytes: Math.min(MAP_BLOCK_BYTES, end - offsetBytes) };
    if (isHole(extents, cursor, block)) {
      blocks.push({ ...block, isZero: true, sha256: null });
      continue;
    }
    if (buffer === null || zeros === null) {
      blocks.push({ ...block, isZero: false, sha256: null });
      continue;
    }
    const bytes = buffer.subarray(0, block.lengthBytes);
    await device.read(offsetBytes, bytes);
    const isZero = bytes.equals(zeros.subarray(0, block.lengthBytes));
    blocks.push({ ...block, isZero, sha256: isZero ? null : hash('sha256', bytes) });
  }
  return blocks;
}

/** Whether no data extent touches the block; the cursor only moves forward, as the blocks do. */
function isHole(extents: readonly Extent[], cursor: { index: number }, block: Range): boolean {
  const end = block.offsetBytes + block.lengthBytes;
  for (; cursor.index < extents.length; cursor.index += 1) {
    const extent = extents[cursor.index];
    if (extent === undefined || extent.offsetBytes >= end) return true;
    const extentEnd = extent.offsetBytes + extent.lengthBytes;
    if (extentEnd <= block.offsetBytes) continue;
    if (extent.kind === 'data') return false;
    if (extentEnd >= end) return true;
  }
  return true;
}
