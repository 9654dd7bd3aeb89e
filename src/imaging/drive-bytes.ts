import type { BlockDevice, Maybe, Range } from '../blockdev/block-device.ts';
import { writeInPlace } from '../blockdev/layers/in-place-write.ts';
import type { Volume } from '../blockdev/volume.ts';
import { GIB, MIB, roundDown, roundUp } from '../core/sizes.ts';
import { driveOfVolume } from '../core/volume-name.ts';

/** One drive of an imaging: its volume, and its own size, which the volume's may exceed by less than a block. */
export interface ImagedDrive {
  readonly driveId: string;
  readonly device: BlockDevice;
  readonly sizeBytes: number;
  /** Writes data of which nothing is needed afterwards. */
  writeInPlace(offsetBytes: number, data: Uint8Array): Maybe<void>;
}

/** The drive of a volume. */
export function imagedDrive(device: Volume, drive: { volumeName: string; sizeBytes: number }): ImagedDrive {
  return {
    driveId: driveOfVolume(drive.volumeName),
    sizeBytes: drive.sizeBytes,
    device,
    writeInPlace: (offsetBytes, data) => writeInPlace(device, offsetBytes, { data, encryptedBytes: 0 }),
  };
}

/** Stretches begin and end on borders of this, or at the end of the range: a multiple of every device's block size. */
export const GRAIN_BYTES = 4096;
/** A window of extents grows while it holds few of them, so that neither holes nor fragments cost much. */
const MIN_WINDOW_BYTES = 64 * MIB;
const MAX_WINDOW_BYTES = 4 * GIB;
const FEW_EXTENTS = 256;
const MANY_EXTENTS = 4096;

/**
 * The stretches of a range that may hold data, in order. The device is asked for a window of extents at a time, so
 * that the memory this takes is bounded however fragmented the drive is. A stretch may continue in the next one.
 * The range begins at a multiple of `GRAIN_BYTES`.
 */
export async function* dataStretches(drive: ImagedDrive, range: Range): AsyncGenerator<Range> {
  const { device } = drive;
  const end = range.offsetBytes + range.lengthBytes;
  let windowBytes = MIN_WINDOW_BYTES;
  let seenBytes = range.offsetBytes;
  for (let at = range.offsetBytes; at < end;) {
    const windowEnd = Math.min(end, at + windowBytes);
    const lengthBytes = roundUp(windowEnd, device.blockSize) - at;
    const extents = await device.extents({ offsetBytes: at, lengthBytes });
    for (const extent of extents) {
      if (extent.kind === 'zero') continue;
      const start = Math.max(seenBytes, roundDown(extent.offsetBytes, GRAIN_BYTES));
      const stop = Math.min(windowEnd, roundUp(extent.offsetBytes + extent.lengthBytes, GRAIN_BYTES));
      if (stop <= start) continue;
      yield { offsetBytes: start, lengthBytes: stop - start };
      seenBytes = stop;
    }
    at = windowEnd;
    if (extents.length < FEW_EXTENTS) windowBytes = Math.min(MAX_WINDOW_BYTES, windowBytes * 2);
    if (extents.length > MANY_EXTENTS) windowBytes = Math.max(MIN_WINDOW_BYTES, windowBytes / 2);
  }
}

/**
 * Fills the beginning of `buffer` with the drive's bytes from an offset on a block's border.
 *
 * @returns the part of the buffer that holds them
 */
export async function readBytes(
  drive: ImagedDrive,
  offsetBytes: number,
  { buffer, lengthBytes }: { buffer: Buffer; lengthBytes: number },
): Promise<Buffer> {
  await drive.device.read(offsetBytes, buffer.subarray(0, roundUp(lengthBytes, drive.device.blockSize)));
  return buffer.subarray(0, lengthBytes);
}

/**
 * Writes the beginning of `buffer`, which is of no use afterwards, to an offset on a block's border; what the last block lacks
 * is written as zeros.
 */
export async function writeBytes(
  drive: ImagedDrive,
  offsetBytes: number,
  { buffer, lengthBytes }: { buffer: Buffer; lengthBytes: number },
): Promise<void> {
  const roundedBytes = roundUp(lengthBytes, drive.device.blockSize);
  buffer.fill(0, lengthBytes, roundedBytes);
  await drive.writeInPlace(offsetBytes, buffer.subarray(0, roundedBytes));
}
