import { roundDown, SECTOR_BYTES } from '../core/sizes.ts';
import { addressOf } from '../runtime/memory-address.ts';
import { loadLibCrypto } from './libcrypto.ts';
import type { LibCrypto } from './libcrypto.ts';
import { loadXtsKernel } from './xts-kernel.ts';
import type { XtsKernel } from './xts-kernel.ts';

/** Bytes of an AES-256-XTS key: one half for the data, one for the tweaks. */
export const XTS_KEY_BYTES = 64;
/** What is worked on at a time: small enough to stay in a core's cache between the steps. */
export const XTS_PIECE_BYTES = 256 * 1024;
/** The scratch region that is enough for pieces of full size. */
export const XTS_SCRATCH_BYTES = 576 * 1024;

/**
 * AES-256-XTS on 512-byte sectors numbered by plain64, for one thread.
 *
 * XTS is AES between two masks, which follow from the sector's number. OpenSSL's own is fast on long sectors, and a call for
 * each of 512 bytes costs more than the sector. So one call of it takes a whole piece for one long sector, and before and after
 * that call WebAssembly SIMD exchanges the masks: it applies the difference between those that OpenSSL uses and those of the
 * real sectors. All numbers of a piece are encrypted with one AES-ECB call. The result is that of one EVP_aes_256_xts per
 * sector, at many times the speed.
 */
export interface XtsEngine {
  /** A cipher of this 64-byte key; close it to wipe the key from memory. */
  cipher(key: Uint8Array): XtsCipher;
  /**
   * Lends memory that ciphers work on without copying, for as long as the work lasts: this thread's own where it is
   * free, else newly allocated.
   */
  lend(lengthBytes: number): { readonly buffer: Uint8Array; giveBack(): void };
}

export interface XtsCipher {
  /**
   * Encrypts whole sectors. `from` is not changed, unless it is `into`; both may be anywhere, and work in the engine's
   * memory is done without copies.
   */
  encrypt(request: { firstSector: number; from: Uint8Array; into: Uint8Array }): void;
  /**
   * Decrypts whole sectors in place, by the rule of thin volumes: a sector whose stored bytes are all zero was never
   * written, being a hole of a sparse file, and reads as zeros. So a new drive needs no space, and space can be given
   * back. Real data is never mistaken for it: 512 bytes of ciphertext are all zero with a probability of 2^-4096.
   */
  decrypt(request: { firstSector: number; data: Uint8Array }): void;
  /** The engine that it works with. */
  readonly engine: XtsEngine;
  close(): void;
}

/** Where in the thread's own region things are: tweaks, the length that OpenSSL reports, a piece to copy through, a piece to lend. */
interface Scratch {
  readonly tweaks: number;
  readonly outLength: number;
  readonly bounce: number;
  readonly lendable: number;
  readonly pieceBytes: number;
}

const TWEAK_BYTES = 16;
/** The number of the long sector that OpenSSL sees; none of 64 bits is equal. */
const LONG_SECTOR = new Uint8Array(TWEAK_BYTES).fill(0xff);
const MIN_SCRATCH_BYTES = 16 * 1024;

/**
 * Makes the engine of one thread.
 *
 * @param options.memory shared by all threads; it must never grow, since addresses into it are kept
 * @param options.scratch this thread's own region of it; 576 KiB is enough for pieces of full size
 */
export function createXtsEngine(options: {
  memory: WebAssembly.Memory;
  scratch: { address: number; lengthBytes: number };
}): XtsEngine {
  const { memory, scratch } = options;
  const parts: Parts = {
    kernel: loadXtsKernel(memory),
    crypto: loadLibCrypto(),
    buffer: memory.buffer,
    baseAddress: addressOf(memory.buffer),
    scratch: divideScratch(scratch),
  };
  let isLent = false;
  const { pieceBytes, lendable } = parts.scratch;
  const engine: XtsEngine = {
    cipher: (key) => new PieceCipher(engine, parts, key),
    lend(lengthBytes) {
      if (isLent || lengthBytes > pieceBytes) {
        return { buffer: new Uint8Array(lengthBytes), giveBack: () => undefined };
      }
      isLent = true;
      return {
        buffer: new Uint8Array(parts.buffer, lendable, lengthBytes),
        giveBack: () => {
          isLent = false;
        },
      };
    },
  };
  return engine;
}

function divideScratch({ address, lengthBytes }: { address: number; lengthBytes: number }): Scratch {
  if (lengthBytes < MIN_SCRATCH_BYTES || address <= 0 || address % TWEAK_BYTES !== 0) {
    throw new RangeError(`The cipher's scratch memory must be at least ${MIN_SCRATCH_BYTES} aligned bytes.`);
  }
  // Two pieces, a tweak for each sector of one and for OpenSSL's long one, and the length that OpenSSL reports.
  const share = SECTOR_BYTES / (2 * SECTOR_BYTES + TWEAK_BYTES);
  const spaceBytes = (lengthBytes - 2 * TWEAK_BYTES) * share;
  const pieceBytes = Math.min(XTS_PIECE_BYTES, roundDown(spaceBytes, SECTOR_BYTES));
  const bounce = address;
  const lendable = bounce + pieceBytes;
  const tweaks = lendable + pieceBytes;
  return {
    bounce,
    lendable,
    tweaks,
    outLength: tweaks + (1 + pieceBytes / SECTOR_BYTES) * TWEAK_BYTES,
    pieceBytes,
  };
}

/** What all ciphers of a thread work with. */
interface Parts {
  readonly kernel: XtsKernel;
  readonly crypto: LibCrypto;
  readonly buffer: SharedArrayBuffer;
  /** The address in the process of the memory's first byte. */
  readonly baseAddress: number;
  readonly scratch: Scratch;
}

class PieceCipher implements XtsCipher {
  readonly engine: XtsEngine;
  readonly #parts: Parts;
  readonly #dataEncryption: number;
  readonly #dataDecryption: number;
  readonly #tweakEncryption: number;
  #isClosed = false;

  constructor(engine: XtsEngine, parts: Parts, key: Uint8Array) {
    if (key.byteLength !== XTS_KEY_BYTES) throw new RangeError(`A volume key is ${XTS_KEY_BYTES} bytes.`);
    this.engine = engine;
    this.#parts = parts;
    const sector = LONG_SECTOR;
    this.#dataEncryption = parts.crypto.newXtsContext(key, { sector, direction: 'encrypt' });
    this.#dataDecryption = parts.crypto.newXtsContext(key, { sector, direction: 'decrypt' });
    this.#tweakEncryption = parts.crypto.newEcbContext(key.subarray(XTS_KEY_BYTES / 2));
  }

  encrypt({ firstSector, from, into }: { firstSector: number; from: Uint8Array; into: Uint8Array }): void {
    if (from.byteLength !== into.byteLength) throw new RangeError('Both buffers must be of one length.');
    const { buffer, scratch } = this.#parts;
    this.#inPieces(firstSector, into, (sector, offset, lengthBytes) => {
      const isInside = into.buffer === buffer;
      const address = isInside ? into.byteOffset + offset : scratch.bounce;
      if (from.buffer === buffer) {
        this.#encryptPiece(sector, { from: from.byteOffset + offset, into: address, lengthBytes });
      } else {
        new Uint8Array(buffer, address, lengthBytes).set(from.subarray(offset, offset + lengthBytes));
        this.#encryptPiece(sector, { from: address, into: address, lengthBytes });
      }
      if (!isInside) into.set(new Uint8Array(buffer, address, lengthBytes), offset);
    });
  }

  decrypt({ firstSector, data }: { firstSector: number; data: Uint8Array }): void {
    const { buffer, scratch } = this.#parts;
    this.#inPieces(firstSector, data, (sector, offset, lengthBytes) => {
      if (data.buffer === buffer) {
        this.#decryptPiece(sector, { address: data.byteOffset + offset, lengthBytes });
      } else {
        const bounce = new Uint8Array(buffer, scratch.bounce, lengthBytes);
        bounce.set(data.subarray(offset, offset + lengthBytes));
        this.#decryptPiece(sector, { address: scratch.bounce, lengthBytes });
        data.set(bounce, offset);
      }
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const context of [this.#dataEncryption, this.#dataDecryption, this.#tweakEncryption]) {
      this.#parts.crypto.freeContext(context);
    }
  }

  #inPieces(
    firstSector: number,
    { byteLength }: Uint8Array,
    work: (sector: number, offset: number, lengthBytes: number) => void,
  ): void {
    if (this.#isClosed) throw new Error('The cipher is closed.');
    if (byteLength % SECTOR_BYTES !== 0) throw new RangeError(`${byteLength} bytes are no whole sectors.`);
    const { pieceBytes } = this.#parts.scratch;
    for (let offset = 0; offset < byteLength; offset += pieceBytes) {
      work(firstSector + offset / SECTOR_BYTES, offset, Math.min(pieceBytes, byteLength - offset));
    }
  }

  #encryptPiece(sector: number, piece: { from: number; into: number; lengthBytes: number }): void {
    const { kernel, crypto, baseAddress, scratch } = this.#parts;
    const { from, into, lengthBytes } = piece;
    const sectors = lengthBytes / SECTOR_BYTES;
    const tweaks = this.#makeTweaks(sector, sectors);
    kernel.mask(from, into, tweaks, sectors);
    const data = { address: baseAddress + into, lengthBytes };
    crypto.update(this.#dataEncryption, data, baseAddress + scratch.outLength);
    kernel.mask(into, into, tweaks, sectors);
  }

  #decryptPiece(sector: number, { address, lengthBytes }: { address: number; lengthBytes: number }): void {
    const { kernel, crypto, baseAddress, scratch } = this.#parts;
    const sectors = lengthBytes / SECTOR_BYTES;
    const tweaks = this.#makeTweaks(sector, sectors);
    if (kernel.noteUnwritten(address, tweaks, sectors) === 0) return;
    kernel.mask(address, address, tweaks, sectors);
    const data = { address: baseAddress + address, lengthBytes };
    crypto.update(this.#dataDecryption, data, baseAddress + scratch.outLength);
    kernel.unmask(address, tweaks, sectors);
  }

  /** Where the difference of masks of each sector is. */
  #makeTweaks(firstSector: number, sectors: number): number {
    const { kernel, crypto, baseAddress, scratch } = this.#parts;
    kernel.numberSectors(scratch.tweaks, firstSector, sectors);
    const tweaks = { address: baseAddress + scratch.tweaks, lengthBytes: (1 + sectors) * TWEAK_BYTES };
    crypto.update(this.#tweakEncryption, tweaks, baseAddress + scratch.outLength);
    kernel.alignTweaks(scratch.tweaks, sectors);
    return scratch.tweaks + TWEAK_BYTES;
  }
}
