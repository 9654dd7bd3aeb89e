import type { BlockDevice, Range } from '../blockdev/block-device.ts';
import { MIB, roundDown, roundUp } from '../core/sizes.ts';
import type { StoredDevices } from './stored-devices.ts';

// What a volume is copied to another pool with: its bytes as they are stored, header and ciphertext, so that it takes no
// key. Those who use the drive have it open as well, by themselves.

/** Stretches begin and end on borders of this, or at the end of the volume: what large writes are aligned to. */
const GRAIN_BYTES = 4096;
/** What is looked at in one go, at first; where there are few extents it grows, so that holes cost little. */
const FIRST_WINDOW_BYTES = 64 * MIB;
const FEW_EXTENTS = 64;
/** One call ends with this many stretches, or after this many looks. */
const MANY_STRETCHES = 1024;
const MAX_WINDOWS = 64;

/** Throws when what is being done was begun in another life of the process; see `refuseEarlierLife`. */
export type CheckLife = () => void;

/** A part of a volume's stretches, in order; there are no more when `nextOffsetBytes` is the volume's size. */
export interface StoredStretches {
  readonly sizeBytes: number;
  readonly stretches: readonly Range[];
  readonly nextOffsetBytes: number;
}

/** Stretches of the volume, from an offset on a grain's border, that may hold data. */
export async function listStretches(
  devices: StoredDevices,
  { volumeName, fromBytes }: { volumeName: string; fromBytes: number },
): Promise<StoredStretches> {
  return await devices.use(volumeName, 'read-only', async (device) => {
    const { sizeBytes } = device;
    const stretches: Range[] = [];
    let at = fromBytes;
    let windowBytes = FIRST_WINDOW_BYTES;
    for (let look = 0; look < MAX_WINDOWS && at < sizeBytes && stretches.length < MANY_STRETCHES; look += 1) {
      const end = Math.min(sizeBytes, at + windowBytes);
      const data = await dataOf(device, { offsetBytes: at, lengthBytes: end - at });
      stretches.push(...data);
      if (data.length < FEW_EXTENTS) windowBytes *= 2;
      at = end;
    }
    return { sizeBytes, stretches, nextOffsetBytes: at };
  });
}

/** Reads what the range holds of data into the same places of `into`; returns where that is. The rest of it is holes. */
export async function copyOut(
  devices: StoredDevices,
  { volumeName, range, into }: { volumeName: string; range: Range; into: Buffer },
): Promise<readonly Range[]> {
  return await devices.use(volumeName, 'read-only', async (device) => {
    const data = await dataOf(device, range);
    for (const { offsetBytes, lengthBytes } of data) {
      await device.read(offsetBytes, partOf(into, range, { offsetBytes, lengthBytes }));
    }
    return data;
  });
}

/**
 * Makes the range of the volume what `copyOut` has read: writes the data and makes holes of the rest. With `compare` only what
 * differs is written.
 *
 * @returns the bytes written
 */
export async function copyIn(
  devices: StoredDevices,
  request: {
    volumeName: string;
    range: Range;
    from: Buffer;
    data: readonly Range[];
    compare: Buffer | null;
    checkLife: CheckLife;
  },
): Promise<number> {
  const { volumeName, range, from, data, compare, checkLife } = request;
  return await devices.use(volumeName, 'read-write', async (device) => {
    // Once it is open: what is opened in a later life is known by that.
    checkLife();
    let writtenBytes = 0;
    for (const part of data) {
      const bytes = partOf(from, range, part);
      if (compare !== null && (await holds(device, part, { bytes, through: compare }))) continue;
      await device.write(part.offsetBytes, bytes);
      writtenBytes += part.lengthBytes;
    }
    for (const hole of holesOf(range, data)) await empty(device, hole);
    return writtenBytes;
  });
}

/**
 * Makes the volume, empty; one of the same size that is there already is kept when `mayKeep`.
 *
 * @returns whether it was kept
 */
export async function makeStored(
  devices: StoredDevices,
  request: { volumeName: string; sizeBytes: number; mayKeep: boolean; checkLife: CheckLife },
): Promise<boolean> {
  const { volumeName, sizeBytes, mayKeep, checkLife } = request;
  if (mayKeep && (await sizeOf(devices, volumeName)) === sizeBytes) return true;
  await devices.close(volumeName);
  checkLife();
  await devices.create(volumeName, sizeBytes);
  return false;
}

/** Puts everything that was written to the volume on stable storage, whoever wrote it. */
export async function syncStored(
  devices: StoredDevices,
  { volumeName, checkLife }: { volumeName: string; checkLife: CheckLife },
): Promise<void> {
  await devices.use(volumeName, 'read-write', async (device) => {
    checkLife();
    await device.flush();
  });
}

async function sizeOf(devices: StoredDevices, volumeName: string): Promise<number | null> {
  try {
    return await devices.use(volumeName, 'read-only', (device) => Promise.resolve(device.sizeBytes));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** The parts of the range that may hold data, rounded outward to grains within it. */
async function dataOf(device: BlockDevice, range: Range): Promise<readonly Range[]> {
  const end = range.offsetBytes + range.lengthBytes;
  const parts: Range[] = [];
  let seenBytes = range.offsetBytes;
  for (const extent of await device.extents(range)) {
    if (extent.kind === 'zero') continue;
    const offsetBytes = Math.max(seenBytes, roundDown(extent.offsetBytes, GRAIN_BYTES));
    const stop = Math.min(end, roundUp(extent.offsetBytes + extent.lengthBytes, GRAIN_BYTES));
    if (stop <= offsetBytes) continue;
    parts.push({ offsetBytes, lengthBytes: stop - offsetBytes });
    seenBytes = stop;
  }
  return parts;
}

function partOf(bytes: Buffer, range: Range, { offsetBytes, lengthBytes }: Range): Buffer {
  const start = offsetBytes - range.offsetBytes;
  return bytes.subarray(start, start + lengthBytes);
}

async function holds(
  device: BlockDevice,
  { offsetBytes, lengthBytes }: Range,
  { bytes, through }: { bytes: Buffer; through: Buffer },
): Promise<boolean> {
  const stored = through.subarray(0, lengthBytes);
  await device.read(offsetBytes, stored);
  return stored.equals(bytes);
}

/** What lies between the parts, which are in order. */
function holesOf(range: Range, parts: readonly Range[]): readonly Range[] {
  const holes: Range[] = [];
  let at = range.offsetBytes;
  for (const { offsetBytes, lengthBytes } of parts) {
    if (offsetBytes > at) holes.push({ offsetBytes: at, lengthBytes: offsetBytes - at });
    at = offsetBytes + lengthBytes;
  }
  const end = range.offsetBytes + range.lengthBytes;
  if (end > at) holes.push({ offsetBytes: at, lengthBytes: end - at });
  return holes;
}

/** Where a file system cannot give space back this writes, so what is a hole already is left alone. */
async function empty(device: BlockDevice, hole: Range): Promise<void> {
  const extents = await device.extents(hole);
  for (const extent of extents) if (extent.kind === 'data') await device.zero(extent);
}
