import type { BlockDevice, Extent } from '../blockdev/block-device.ts';
import type { ImagedDrive } from './drive-bytes.ts';
import { createJobControl } from './job-control.ts';
import type { EngineHooks } from './engine-hooks.ts';
import { roundUp } from '../core/sizes.ts';

// For tests: a drive in memory that counts what is done to it and can stop accepting writes, as in a crash.

const PAGE_BYTES = 4096;

export interface ScratchDrive extends ImagedDrive {
  /** All bytes; for small drives. */
  content(): Buffer;
  readonly counts: { readBytes: number; writtenBytes: number; writes: number; extentCalls: number };
  /** Writes after this many throw. */
  failAfterWrites: number;
}

/** Makes an empty drive; its device is as large as whole blocks make it. */
export function createScratchDrive(driveId: string, sizeBytes: number, blockSize = 512): ScratchDrive {
  const pages = new Map<number, Buffer>();
  const counts = { readBytes: 0, writtenBytes: 0, writes: 0, extentCalls: 0 };
  const deviceBytes = roundUp(sizeBytes, blockSize);

  function check(offsetBytes: number, lengthBytes: number): void {
    const isAligned = offsetBytes % blockSize === 0 && lengthBytes % blockSize === 0;
    if (!isAligned || offsetBytes < 0 || offsetBytes + lengthBytes > deviceBytes) {
      throw new RangeError(`${offsetBytes}+${lengthBytes} is not within the device.`);
    }
  }

  /** Calls back for each page that the range touches, with the range's part in the page. */
  function eachPage(
    offsetBytes: number,
    lengthBytes: number,
    visit: (page: number, at: number, part: { start: number; end: number }) => void,
  ): void {
    for (let done = 0; done < lengthBytes;) {
      const page = Math.floor((offsetBytes + done) / PAGE_BYTES);
      const start = (offsetBytes + done) % PAGE_BYTES;
      const end = Math.min(PAGE_BYTES, start + lengthBytes - done);
      visit(page, done, { start, end });
      done += end - start;
    }
  }

  const device: BlockDevice = {
    blockSize,
    sizeBytes: deviceBytes,
    read(offsetBytes, into) {
      check(offsetBytes, into.length);
      counts.readBytes += into.length;
      eachPage(offsetBytes, into.length, (page, at, { start, end }) => {
        const bytes = pages.get(page);
        if (bytes === undefined) into.fill(0, at, at + end - start);
        else into.set(bytes.subarray(start, end), at);
      });
    },
    write(offsetBytes, from) {
      check(offsetBytes, from.length);
      if (counts.writes >= drive.failAfterWrites) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      counts.writes += 1;
      counts.writtenBytes += from.length;
      eachPage(offsetBytes, from.length, (page, at, { start, end }) => {
        const bytes = pages.get(page) ?? Buffer.alloc(PAGE_BYTES);
        bytes.set(from.subarray(at, at + end - start), start);
        pages.set(page, bytes);
      });
    },
    zero({ offsetBytes, lengthBytes }) {
      check(offsetBytes, lengthBytes);
      for (const page of pages.keys()) {
        const start = Math.max(offsetBytes, page * PAGE_BYTES) - page * PAGE_BYTES;
        const end = Math.min(offsetBytes + lengthBytes, (page + 1) * PAGE_BYTES) - page * PAGE_BYTES;
        if (start === 0 && end === PAGE_BYTES) pages.delete(page);
        else if (start < end) pages.get(page)?.fill(0, start, end);
      }
    },
    discard: (range) => device.zero(range),
    reserve: () => {},
    extents({ offsetBytes, lengthBytes }) {
      check(offsetBytes, lengthBytes);
      counts.extentCalls += 1;
      return extentsOf(
        [...pages.keys()].sort((a, b) => a - b),
        offsetBytes,
        offsetBytes + lengthBytes,
      );
    },
    flush: () => {},
    resize: () => {},
    close: () => {},
  };
  const drive: ScratchDrive = {
    driveId,
    sizeBytes,
    device,
    counts,
    failAfterWrites: Infinity,
    content() {
      const bytes = Buffer.alloc(deviceBytes);
      for (const [page, part] of pages) part.copy(bytes, page * PAGE_BYTES);
      return bytes.subarray(0, sizeBytes);
    },
  };
  return drive;
}

function extentsOf(sortedPages: readonly number[], start: number, end: number): Extent[] {
  const extents: Extent[] = [];
  let at = start;
  const add = (kind: Extent['kind'], until: number): void => {
    if (until <= at) return;
    extents.push({ kind, offsetBytes: at, lengthBytes: until - at });
    at = until;
  };
  for (const page of sortedPages) {
    if ((page + 1) * PAGE_BYTES <= start || page * PAGE_BYTES >= end) continue;
    add('zero', page * PAGE_BYTES);
    add('data', Math.min(end, (page + 1) * PAGE_BYTES));
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

/** Hooks that admit everything, and what was counted through them. */
export function createScratchHooks(): EngineHooks & { doneBytes: () => number; stop: () => void } {
  const control = createJobControl();
  control.extend(3_600_000, process.hrtime.bigint());
  return { ...control, admit: () => Promise.resolve() };
}
