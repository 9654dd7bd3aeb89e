import { roundDown, roundUp } from '../../core/sizes.ts';
import type { BlockDevice, Extent, Maybe, Range } from '../block-device.ts';
import { chain, eachInOrder, rescued } from '../maybe.ts';
import { checkRange, checkSize, mapExtents, outerBlocks } from '../ranges.ts';
import { isSystemError } from '../system-error.ts';
import { changeBlock, isZero, partsOf } from './block-parts.ts';
import type { DriveLock } from './drive-lock.ts';

/** A device that takes any byte range, over one of whole blocks. */
export interface ByteDevice extends BlockDevice {
  /** Runs work on the blocks below while no thread writes through this layer; the range covers whole blocks there. */
  exclusively<Result>(work: (blocks: BlockDevice) => Maybe<Result>): Maybe<Result>;
  /** Runs work that writes whole blocks below, past this layer; others may write whole blocks at the same time. */
  together<Result>(work: () => Maybe<Result>): Maybe<Result>;
}

/**
 * Any byte range, and exactly `sizeBytes` bytes, over a device of blocks that is at least as large. Whole blocks pass
 * straight through. Writers of parts of blocks have the drive's lock alone while they read, change and write a block, and writers
 * of whole blocks share it, so that neighbours in one block never lose each other's bytes, whatever thread they are in.
 *
 * What lies behind `sizeBytes` in the last block, or behind the device's end as an interrupted shrink may leave it, is
 * never read, and is zeroed before it comes into reach by growing.
 */
export function byteAccess(device: BlockDevice, options: ByteAccessOptions): ByteDevice {
  if (device.sizeBytes < roundUp(options.sizeBytes, device.blockSize)) {
    throw new RangeError(`${options.sizeBytes} bytes do not fit into a device of ${device.sizeBytes} bytes.`);
  }
  return new ByteAccess(device, options);
}

export interface ByteAccessOptions {
  readonly sizeBytes: number;
  readonly lock: DriveLock;
  /** Whether the drive may grow elsewhere while this is open: then what lies behind the end may be data, and is kept. */
  readonly mayGrowElsewhere?: boolean;
}

class ByteAccess implements ByteDevice {
  readonly blockSize = 1;
  readonly isRemote: boolean;
  readonly #device: BlockDevice;
  readonly #lock: DriveLock;
  readonly #unit: number;
  readonly #keepsPadding: boolean;
  #sizeBytes: number;

  constructor(device: BlockDevice, { sizeBytes, lock, mayGrowElsewhere = false }: ByteAccessOptions) {
    this.#keepsPadding = mayGrowElsewhere;
    this.#device = device;
    this.isRemote = device.isRemote === true;
    this.#lock = lock;
    this.#unit = device.blockSize;
    this.#sizeBytes = sizeBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  read(offsetBytes: number, into: Uint8Array): Maybe<void> {
    const range = { offsetBytes, lengthBytes: into.byteLength };
    this.#check(range);
    if (this.#isWhole(range)) return this.#device.read(offsetBytes, into);
    return eachInOrder(partsOf(range, this.#unit), (part) => {
      const from = part.offsetBytes - offsetBytes;
      const target = into.subarray(from, from + part.lengthBytes);
      if (part.isWhole) return this.#device.read(part.offsetBytes, target);
      const block = new Uint8Array(this.#unit);
      const blockOffset = roundDown(part.offsetBytes, this.#unit);
      const start = part.offsetBytes - blockOffset;
      return chain(this.#device.read(blockOffset, block), () => {
        target.set(block.subarray(start, start + part.lengthBytes));
      });
    });
  }

  write(offsetBytes: number, from: Uint8Array): Maybe<void> {
    const range = { offsetBytes, lengthBytes: from.byteLength };
    this.#check(range);
    if (this.#isWhole(range)) return this.#lock.shared(() => this.#device.write(offsetBytes, from));
    return this.#lock.exclusive(() =>
      eachInOrder(partsOf(range, this.#unit), (part) => {
        const start = part.offsetBytes - offsetBytes;
        const source = from.subarray(start, start + part.lengthBytes);
        if (part.isWhole) return this.#device.write(part.offsetBytes, source);
        return changeBlock(this.#device, part.offsetBytes, (block, at) => {
          block.set(source, at);
          return 'write';
        });
      }),
    );
  }

  zero(range: Range): Maybe<void> {
    this.#check(range);
    const blocks = this.#withPadding(range);
    if (this.#isWhole(blocks)) return this.#lock.shared(() => this.#device.zero(blocks));
    return this.#lock.exclusive(() =>
      eachInOrder(partsOf(blocks, this.#unit), (part) =>
        part.isWhole ? this.#device.zero(part) : this.#zeroInBlock(part),
      ),
    );
  }

  discard(range: Range): Maybe<void> {
    this.#check(range);
    const blocks = this.#withPadding(range);
    const offsetBytes = roundUp(blocks.offsetBytes, this.#unit);
    const lengthBytes = roundDown(blocks.offsetBytes + blocks.lengthBytes, this.#unit) - offsetBytes;
    if (lengthBytes <= 0) return undefined;
    return this.#lock.shared(() => this.#device.discard({ offsetBytes, lengthBytes }));
  }

  reserve(range: Range): Maybe<void> {
    this.#check(range);
    const blocks = outerBlocks(range, this.#unit);
    return rescued(
      () => this.#device.reserve(blocks),
      (error) => (isSystemError(error, 'ENOSPC', 'EDQUOT') ? this.#giveBack(blocks) : undefined),
    );
  }

  extents(range: Range): Maybe<readonly Extent[]> {
    this.#check(range);
    return chain(this.#device.extents(outerBlocks(range, this.#unit)), (extents) =>
      mapExtents(extents, { range, unit: 1, shiftBytes: 0 }),
    );
  }

  flush(): Maybe<void> {
    return this.#device.flush();
  }

  resize(sizeBytes: number): Maybe<void> {
    checkSize(this.blockSize, sizeBytes);
    return this.#lock.exclusive(() => {
      const kept = Math.min(sizeBytes, this.#sizeBytes);
      const keptBlocks = roundUp(kept, this.#unit);
      return chain(this.#clearBehind(kept, keptBlocks), () =>
        // What an interrupted shrink left behind is cut off before the device grows over it.
        chain(this.#device.sizeBytes > keptBlocks ? this.#device.resize(keptBlocks) : undefined, () =>
          chain(this.#device.resize(roundUp(sizeBytes, this.#unit)), () => {
            this.#sizeBytes = sizeBytes;
          }),
        ),
      );
    });
  }

  close(): Maybe<void> {
    return this.#device.close();
  }

  exclusively<Result>(work: (blocks: BlockDevice) => Maybe<Result>): Maybe<Result> {
    return this.#lock.exclusive(() => work(this.#device));
  }

  together<Result>(work: () => Maybe<Result>): Maybe<Result> {
    return this.#lock.shared(work);
  }

  /**
   * A file system may take all that is left before it says that it is not enough, and nobody else could write then. So
   * what holds no data is given back, which under the lock nobody is about to write.
   */
  #giveBack(blocks: Range): Maybe<void> {
    return this.#lock.exclusive(() =>
      chain(this.#device.extents(blocks), (extents) => {
        const empty = extents.filter((extent) => extent.kind === 'zero');
        return eachInOrder(empty, (extent) => this.#device.discard(extent));
      }),
    );
  }

  #check(range: Range): void {
    checkRange(this, range.offsetBytes, range.lengthBytes);
  }

  #isWhole({ offsetBytes, lengthBytes }: Range): boolean {
    return offsetBytes % this.#unit === 0 && lengthBytes % this.#unit === 0;
  }

  /** A range that goes to the end of the drive may as well go to the end of its last block. */
  #withPadding({ offsetBytes, lengthBytes }: Range): Range {
    const end = offsetBytes + lengthBytes;
    if (end < this.#sizeBytes || lengthBytes === 0 || this.#keepsPadding) return { offsetBytes, lengthBytes };
    return { offsetBytes, lengthBytes: roundUp(end, this.#unit) - offsetBytes };
  }

  #clearBehind(kept: number, keptBlocks: number): Maybe<void> {
    if (kept === keptBlocks) return undefined;
    return this.#zeroInBlock({ offsetBytes: kept, lengthBytes: keptBlocks - kept });
  }

  #zeroInBlock({ offsetBytes, lengthBytes }: Range): Maybe<void> {
    return changeBlock(this.#device, offsetBytes, (block, at) => {
      const part = block.subarray(at, at + lengthBytes);
      if (isZero(part)) return 'keep';
      part.fill(0);
      return isZero(block) ? 'zero' : 'write';
    });
  }
}
