import { SECTOR_BYTES } from '../../core/sizes.ts';
import { XTS_PIECE_BYTES } from '../../crypto/xts.ts';
import type { XtsCipher } from '../../crypto/xts.ts';
import type { BlockChange, BlockDevice, Extent, Maybe, Range } from '../block-device.ts';
import { chain, eachInOrder, ensuring, inPieces } from '../maybe.ts';
import { checkRange, checkSize, ExtentList, mapExtents } from '../ranges.ts';

/** The sectors of an encrypted volume. */
export interface LuksDevice extends BlockDevice {
  /** Replaces data by what is stored of it at `offsetBytes`, whatever the size of the volume; nothing is written. */
  encryptInPlace(offsetBytes: number, data: Uint8Array): void;
  /** Writes what `encryptInPlace` made for the same `offsetBytes`. */
  writeEncrypted(offsetBytes: number, from: Uint8Array): Maybe<void>;
  /**
   * Writes encrypted zeros into the sectors that were never written, reading the whole range at once. The caller keeps
   * others from writing meanwhile.
   *
   * @returns the bytes written
   */
  fillHoles(range: Range): Maybe<number>;
}

/**
 * The decrypted payload of an encrypted volume, in sectors of 512 bytes numbered from the payload's start. It takes
 * over the cipher and closes it. Holes of the device below read as zeros (see `XtsCipher.decrypt`), so that zeroing is
 * giving back space.
 */
export function luks(
  device: BlockDevice,
  options: { cipher: XtsCipher; payloadOffsetBytes: number },
): LuksDevice {
  return new LuksPayload(device, options);
}

type Change = (bytes: Uint8Array) => BlockChange;

class LuksPayload implements LuksDevice {
  readonly blockSize = SECTOR_BYTES;
  readonly isRemote: boolean;
  readonly update?: NonNullable<BlockDevice['update']>;
  readonly #device: BlockDevice;
  readonly #cipher: XtsCipher;
  readonly #payloadOffsetBytes: number;

  constructor(device: BlockDevice, options: { cipher: XtsCipher; payloadOffsetBytes: number }) {
    if (SECTOR_BYTES % device.blockSize !== 0 || options.payloadOffsetBytes % SECTOR_BYTES !== 0) {
      throw new RangeError('The sectors of an encrypted volume do not fall on the blocks of its device.');
    }
    this.#device = device;
    this.isRemote = device.isRemote === true;
    this.#cipher = options.cipher;
    this.#payloadOffsetBytes = options.payloadOffsetBytes;
    const { update } = device;
    if (update !== undefined) {
      this.update = (range, change) =>
        update.call(device, this.#shifted(range), this.#decrypted(range, change));
    }
  }

  get sizeBytes(): number {
    const payloadBytes = this.#device.sizeBytes - this.#payloadOffsetBytes;
    return payloadBytes - (payloadBytes % SECTOR_BYTES);
  }

  read(offsetBytes: number, into: Uint8Array): Maybe<void> {
    checkRange(this, offsetBytes, into.byteLength);
    // Piece by piece, so that what was read is still in the core's cache when it is decrypted; over a network that is of
    // no account.
    const pieceBytes = this.isRemote ? into.byteLength : XTS_PIECE_BYTES;
    const sizes = { lengthBytes: into.byteLength, pieceBytes };
    return inPieces(sizes, (done, lengthBytes) => {
      const piece = lengthBytes === into.byteLength ? into : into.subarray(done, done + lengthBytes);
      const firstSector = (offsetBytes + done) / SECTOR_BYTES;
      return chain(this.#device.read(this.#payloadOffsetBytes + offsetBytes + done, piece), () =>
        this.#cipher.decrypt({ firstSector, data: piece }),
      );
    });
  }

  write(offsetBytes: number, from: Uint8Array): Maybe<void> {
    checkRange(this, offsetBytes, from.byteLength);
    const { engine } = this.#cipher;
    const sizes = { lengthBytes: from.byteLength, pieceBytes: XTS_PIECE_BYTES };
    return inPieces(sizes, (done, lengthBytes) => {
      const { buffer, giveBack } = engine.lend(lengthBytes);
      return ensuring(() => {
        const firstSector = (offsetBytes + done) / SECTOR_BYTES;
        this.#cipher.encrypt({ firstSector, from: from.subarray(done, done + lengthBytes), into: buffer });
        return this.#device.write(this.#payloadOffsetBytes + offsetBytes + done, buffer);
      }, giveBack);
    });
  }

  encryptInPlace(offsetBytes: number, data: Uint8Array): void {
    this.#cipher.encrypt({ firstSector: offsetBytes / SECTOR_BYTES, from: data, into: data });
  }

  writeEncrypted(offsetBytes: number, from: Uint8Array): Maybe<void> {
    checkRange(this, offsetBytes, from.byteLength);
    return this.#device.write(this.#payloadOffsetBytes + offsetBytes, from);
  }

  zero(range: Range): Maybe<void> {
    return this.#device.zero(this.#shifted(range));
  }

  discard(range: Range): Maybe<void> {
    return this.#device.discard(this.#shifted(range));
  }

  reserve(range: Range): Maybe<void> {
    return this.#device.reserve(this.#shifted(range));
  }

  extents(range: Range): Maybe<readonly Extent[]> {
    const mapping = { range, unit: SECTOR_BYTES, shiftBytes: this.#payloadOffsetBytes };
    return chain(this.#device.extents(this.#shifted(range)), (extents) => mapExtents(extents, mapping));
  }

  flush(): Maybe<void> {
    return this.#device.flush();
  }

  resize(sizeBytes: number): Maybe<void> {
    checkSize(SECTOR_BYTES, sizeBytes);
    return this.#device.resize(this.#payloadOffsetBytes + sizeBytes);
  }

  fillHoles(range: Range): Maybe<number> {
    const stored = this.#shifted(range);
    const bytes = Buffer.allocUnsafe(range.lengthBytes);
    return chain(this.#device.read(stored.offsetBytes, bytes), () => {
      const runs = zeroSectors(bytes);
      const zeros = new Uint8Array(Math.max(0, ...runs.map((run) => run.lengthBytes)));
      const written = eachInOrder(runs, (run) =>
        this.write(range.offsetBytes + run.offsetBytes, zeros.subarray(0, run.lengthBytes)),
      );
      const writtenBytes = runs.reduce((sum, run) => sum + run.lengthBytes, 0);
      return chain(written, () => writtenBytes);
    });
  }

  close(): Maybe<void> {
    this.#cipher.close();
    return this.#device.close();
  }

  /** The same change of what is stored. What becomes zero becomes a hole. */
  #decrypted({ offsetBytes }: Range, change: Change): Change {
    return (stored) => {
      this.#cipher.decrypt({ firstSector: offsetBytes / SECTOR_BYTES, data: stored });
      const outcome = change(stored);
      if (outcome === 'write') this.encryptInPlace(offsetBytes, stored);
      return outcome;
    };
  }

  #shifted(range: Range): Range {
    checkRange(this, range.offsetBytes, range.lengthBytes);
    return { offsetBytes: range.offsetBytes + this.#payloadOffsetBytes, lengthBytes: range.lengthBytes };
  }
}

const ZERO_SECTOR = new Uint8Array(SECTOR_BYTES);

/** The stretches of whole sectors that are all zero. */
function zeroSectors(bytes: Buffer): readonly Range[] {
  const list = new ExtentList(0);
  for (let at = 0; at < bytes.byteLength; at += SECTOR_BYTES) {
    const isZero = bytes.subarray(at, at + SECTOR_BYTES).equals(ZERO_SECTOR);
    list.extendTo(at + SECTOR_BYTES, isZero ? 'zero' : 'data');
  }
  return list.extents.filter((extent) => extent.kind === 'zero');
}
