import { roundUp } from '../../core/sizes.ts';
import type { BlockDevice, Extent, Range } from '../block-device.ts';
import { checkRange, checkSize, ExtentList } from '../ranges.ts';
import { systemError } from '../system-error.ts';

/** The unit in which memory is taken, as a file system takes blocks. */
export const MEMORY_PAGE_BYTES = 4096;

/** Counts what the devices of a pool take, up to a capacity. */
export interface MemoryBudget {
  readonly capacityBytes: number;
  usedBytes: number;
}

/** What a memory device holds: pages that were written, by their number. Stays when the device is closed. */
export interface MemoryContent {
  sizeBytes: number;
  readonly pages: Map<number, Uint8Array>;
}

/** A sparse device in memory, byte by byte, for tests. Beyond the budget it fails with ENOSPC, as a full disk does. */
export function memoryDevice(content: MemoryContent, budget: MemoryBudget): BlockDevice {
  return new MemoryDevice(content, budget);
}

class MemoryDevice implements BlockDevice {
  readonly blockSize = 1;
  readonly #content: MemoryContent;
  readonly #budget: MemoryBudget;

  constructor(content: MemoryContent, budget: MemoryBudget) {
    this.#content = content;
    this.#budget = budget;
  }

  get sizeBytes(): number {
    return this.#content.sizeBytes;
  }

  read(offsetBytes: number, into: Uint8Array): void {
    checkRange(this, offsetBytes, into.byteLength);
    for (const { page, start, from, lengthBytes } of pageParts(offsetBytes, into.byteLength)) {
      const bytes = this.#content.pages.get(page);
      const target = into.subarray(from, from + lengthBytes);
      if (bytes === undefined) target.fill(0);
      else target.set(bytes.subarray(start, start + lengthBytes));
    }
  }

  write(offsetBytes: number, from: Uint8Array): void {
    this.reserve({ offsetBytes, lengthBytes: from.byteLength });
    for (const part of pageParts(offsetBytes, from.byteLength)) {
      const bytes = this.#content.pages.get(part.page);
      bytes?.set(from.subarray(part.from, part.from + part.lengthBytes), part.start);
    }
  }

  zero({ offsetBytes, lengthBytes }: Range): void {
    checkRange(this, offsetBytes, lengthBytes);
    for (const part of pageParts(offsetBytes, lengthBytes)) {
      if (part.lengthBytes === MEMORY_PAGE_BYTES) this.#free(part.page);
      else this.#content.pages.get(part.page)?.fill(0, part.start, part.start + part.lengthBytes);
    }
  }

  discard(range: Range): void {
    this.zero(range);
  }

  reserve({ offsetBytes, lengthBytes }: Range): void {
    checkRange(this, offsetBytes, lengthBytes);
    const missing = pageParts(offsetBytes, lengthBytes).filter((part) => !this.#content.pages.has(part.page));
    const neededBytes = missing.length * MEMORY_PAGE_BYTES;
    if (this.#budget.usedBytes + neededBytes > this.#budget.capacityBytes)
      throw systemError('ENOSPC', 'write');
    this.#budget.usedBytes += neededBytes;
    for (const { page } of missing) this.#content.pages.set(page, new Uint8Array(MEMORY_PAGE_BYTES));
  }

  extents({ offsetBytes, lengthBytes }: Range): readonly Extent[] {
    checkRange(this, offsetBytes, lengthBytes);
    const list = new ExtentList(offsetBytes);
    for (const part of pageParts(offsetBytes, lengthBytes)) {
      const kind = this.#content.pages.has(part.page) ? 'data' : 'zero';
      list.extendTo(offsetBytes + part.from + part.lengthBytes, kind);
    }
    return list.extents;
  }

  flush(): void {
    // Memory is as durable as it gets.
  }

  resize(sizeBytes: number): void {
    checkSize(this.blockSize, sizeBytes);
    if (sizeBytes < this.sizeBytes) {
      const end = roundUp(this.sizeBytes, MEMORY_PAGE_BYTES);
      for (const part of pageParts(sizeBytes, end - sizeBytes)) {
        if (part.start === 0) this.#free(part.page);
        else this.#content.pages.get(part.page)?.fill(0, part.start);
      }
    }
    this.#content.sizeBytes = sizeBytes;
  }

  close(): void {
    // The content belongs to whoever made the device.
  }

  #free(page: number): void {
    if (this.#content.pages.delete(page)) this.#budget.usedBytes -= MEMORY_PAGE_BYTES;
  }
}

interface PagePart {
  readonly page: number;
  /** Offset within the page. */
  readonly start: number;
  /** Offset within the range. */
  readonly from: number;
  readonly lengthBytes: number;
}

function pageParts(offsetBytes: number, lengthBytes: number): readonly PagePart[] {
  const parts: PagePart[] = [];
  for (let from = 0; from < lengthBytes;) {
    const start = (offsetBytes + from) % MEMORY_PAGE_BYTES;
    const length = Math.min(MEMORY_PAGE_BYTES - start, lengthBytes - from);
    parts.push({ page: (offsetBytes + from - start) / MEMORY_PAGE_BYTES, start, from, lengthBytes: length });
    from += length;
  }
  return parts;
}
