import type { BlockDevice, Extent } from '../blockdev/block-device.ts';
import type { ImagedDrive } from './drive-bytes.ts';
import { createJobControl } from './job-control.ts';
import type { EngineHooks } from './engine-hooks.ts';
import { MIB, roundUp } from '../core/sizes.ts';

// For tests: a drive in memory that counts what is done to it and can stop accepting writes, as in a crash.

export interface ScratchDrive extends ImagedDrive {
  /** All bytes; for small drives. */
  content(): Buffer;
  readonly counts: {
    readBytes: number;
    writtenBytes: number;
    writes: number;
    extentCalls: number;
    flushes: number;
    zeros: number;
  };
  /** Writes after this many throw. */
  failAfterWrites: number;
}

/** Makes an empty drive; its device is as large as whole blocks make it. Holes are of whole pages. */
export function createScratchDrive(
  driveId: string,
  sizeBytes: number,
  { blockSize = 512, pageBytes = 4096, isRemote = false } = {},
): ScratchDrive {
  const pages = new Map<number, Buffer>();
  const counts = { readBytes: 0, writtenBytes: 0, writes: 0, extentCalls: 0, flushes: 0, zeros: 0 };
  const deviceBytes = roundUp(sizeBytes, blockSize);
  const drive: ScratchDrive = {
    driveId,
    sizeBytes,
    device: createDevice(
      { pages, pageBytes, counts, deviceBytes, blockSize, isRemote },
      () => drive.failAfterWrites,
    ),
    counts,
    failAfterWrites: Infinity,
    async writeInPlace(offsetBytes, data) {
      await drive.device.write(offsetBytes, data);
      // As a cipher leaves it.
      data.fill(0xdb);
    },
    content() {
      const bytes = Buffer.alloc(deviceBytes);
      for (const [page, part] of pages) part.copy(bytes, page * pageBytes);
      return bytes.subarray(0, sizeBytes);
    },
  };
  return drive;
}

interface Store {
  readonly pages: Map<number, Buffer>;
  readonly pageBytes: number;
  readonly counts: ScratchDrive['counts'];
  readonly deviceBytes: number;
  readonly blockSize: number;
  readonly isRemote: boolean;
}

function createDevice(store: Store, failAfterWrites: () => number): BlockDevice {
  const { pages, pageBytes, counts, deviceBytes, blockSize, isRemote } = store;
  const device: BlockDevice = {
    blockSize,
    sizeBytes: deviceBytes,
    isRemote,
    read(offsetBytes, into) {
      check(store, offsetBytes, into.length);
      counts.readBytes += into.length;
      for (const { page, at, start, end } of pageParts(offsetBytes, {
        lengthBytes: into.length,
        pageBytes,
      })) {
        const bytes = pages.get(page);
        if (bytes === undefined) into.fill(0, at, at + end - start);
        else into.set(bytes.subarray(start, end), at);
      }
    },
    write(offsetBytes, from) {
      check(store, offsetBytes, from.length);
      if (counts.writes >= failAfterWrites()) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      counts.writes += 1;
      counts.writtenBytes += from.length;
      for (const { page, at, start, end } of pageParts(offsetBytes, {
        lengthBytes: from.length,
        pageBytes,
      })) {
        const bytes = pages.get(page) ?? Buffer.alloc(pageBytes);
        bytes.set(from.subarray(at, at + end - start), start);
        pages.set(page, bytes);
      }
    },
    zero({ offsetBytes, lengthBytes }) {
      check(store, offsetBytes, lengthBytes);
      counts.zeros += 1;
      for (const page of pages.keys()) {
        const start = Math.max(offsetBytes - page * pageBytes, 0);
        const end = Math.min(offsetBytes + lengthBytes - page * pageBytes, pageBytes);
        if (start === 0 && end === pageBytes) pages.delete(page);
        else if (start < end) pages.get(page)?.fill(0, start, end);
      }
    },
    discard: (range) => device.zero(range),
    reserve: () => {},
    extents({ offsetBytes, lengthBytes }) {
      check(store, offsetBytes, lengthBytes);
      counts.extentCalls += 1;
      const sorted = [...pages.keys()].sort((a, b) => a - b);
      return extentsOf(sorted, { start: offsetBytes, end: offsetBytes + lengthBytes, pageBytes });
    },
    flush: () => {
      counts.flushes += 1;
    },
    resize: () => {},
    close: () => {},
  };
  return device;
}

function check({ blockSize, deviceBytes }: Store, offsetBytes: number, lengthBytes: number): void {
  const isAligned = offsetBytes % blockSize === 0 && lengthBytes % blockSize === 0;
  if (!isAligned || offsetBytes < 0 || offsetBytes + lengthBytes > deviceBytes) {
    throw new RangeError(`${offsetBytes}+${lengthBytes} is not within the device.`);
  }
}

/** Cuts a range at the borders of pages: the part of each page, and where that is in the range. */
function* pageParts(
  offsetBytes: number,
  { lengthBytes, pageBytes }: { lengthBytes: number; pageBytes: number },
): Generator<{ page: number; at: number; start: number; end: number }> {
  for (let at = 0; at < lengthBytes;) {
    const page = Math.floor((offsetBytes + at) / pageBytes);
    const start = (offsetBytes + at) % pageBytes;
    const end = Math.min(pageBytes, start + lengthBytes - at);
    yield { page, at, start, end };
    at += end - start;
  }
}

function extentsOf(
  sortedPages: readonly number[],
  { start, end, pageBytes }: { start: number; end: number; pageBytes: number },
): Extent[] {
  const extents: Extent[] = [];
  let at = start;
  const add = (kind: Extent['kind'], until: number): void => {
    if (until <= at) return;
    const last = extents.at(-1);
    if (last?.kind === kind) extents[extents.length - 1] = { ...last, lengthBytes: until - last.offsetBytes };
    else extents.push({ kind, offsetBytes: at, lengthBytes: until - at });
    at = until;
  };
  for (const page of sortedPages) {
    if ((page + 1) * pageBytes <= start || page * pageBytes >= end) continue;
    add('zero', page * pageBytes);
    add('data', Math.min(end, (page + 1) * pageBytes));
  }
  add('zero', end);
  return extents;
}

/** Puts bytes into a drive at an offset on a block's border. */
export async function fillScratch(
  drive: ScratchDrive,
  offsetBytes: number,
  bytes: Uint8Array,
): Promise<void> {
  const padded = Buffer.alloc(roundUp(bytes.length, drive.device.blockSize));
  padded.set(bytes);
  await drive.device.write(offsetBytes, padded);
}

/** Whether two drives of one size hold the same; for large drives. */
export async function holdSame(one: ScratchDrive, other: ScratchDrive): Promise<boolean> {
  const [left, right] = [Buffer.alloc(MIB), Buffer.alloc(MIB)];
  for (let offsetBytes = 0; offsetBytes < one.sizeBytes; offsetBytes += MIB) {
    const lengthBytes = Math.min(MIB, one.sizeBytes - offsetBytes);
    await one.device.read(offsetBytes, left.subarray(0, lengthBytes));
    await other.device.read(offsetBytes, right.subarray(0, lengthBytes));
    if (!left.equals(right)) return false;
  }
  return one.sizeBytes === other.sizeBytes;
}

/** Hooks that admit everything, and what was counted through them. */
export function createScratchHooks(): EngineHooks & { doneBytes: () => number; stop: () => void } {
  const control = createJobControl();
  control.extend(3_600_000, process.hrtime.bigint());
  return { ...control, admit: () => Promise.resolve() };
}
