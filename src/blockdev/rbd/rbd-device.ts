import { GIB, MIB } from '../../core/sizes.ts';
import type { BlockChange, BlockDevice, Extent, Maybe, Range } from '../block-device.ts';
import { chain, ensuring, inPieces, repeat } from '../maybe.ts';
import { checkRange, checkSize, ExtentList } from '../ranges.ts';
import type { Completion, ImageCalls } from './image-io.ts';
import type { ImageRequests } from './image-requests.ts';
import type { Image, Librbd } from './librbd.ts';
import { checkedRados } from './rados-error.ts';

/** From here on a write goes to the cluster in parts, all at once: an OSD takes in the next while it still stores one. */
const PARTED_WRITE_BYTES = MIB;
const WRITE_PART_BYTES = MIB / 2;

/** What is given back at a time. */
const ZERO_PIECE_BYTES = GIB;

/** A word for where the first byte was that differs. */
const MISMATCH_BYTES = 8;

/** What a device works with. */
export interface RbdCalls {
  readonly librbd: Librbd;
  readonly io: ImageCalls;
}

/**
 * An RBD image as a device, byte by byte. It owns the image and its requests. Its size is that of the image when it was
 * opened or last resized through it. What is written is on stable storage at once, since nothing is cached here; while
 * the cluster is away every call waits for it.
 */
export function rbdDevice(image: Image, requests: ImageRequests, calls: RbdCalls): BlockDevice {
  return new RbdDevice(image, requests, calls);
}

class RbdDevice implements BlockDevice {
  readonly blockSize = 1;
  readonly isRemote = true;
  readonly #image: Image;
  readonly #requests: ImageRequests;
  readonly #librbd: Librbd;
  readonly #io: ImageCalls;
  #sizeBytes: number;

  constructor(image: Image, requests: ImageRequests, { librbd, io }: RbdCalls) {
    this.#image = image;
    this.#requests = requests;
    this.#librbd = librbd;
    this.#io = io;
    this.#sizeBytes = librbd.sizeOf(image);
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  read(offsetBytes: number, into: Uint8Array): Maybe<void> {
    checkRange(this, offsetBytes, into.byteLength);
    if (into.byteLength === 0) return undefined;
    return chain(this.#requests.result(this.#io.read(this.#image, offsetBytes, into), into), (result) => {
      const readBytes = checkedRados('rbd_aio_read', result);
      // Another opening may have cut the image.
      if (readBytes < into.byteLength) into.fill(0, readBytes);
    });
  }

  write(offsetBytes: number, from: Uint8Array): Maybe<void> {
    checkRange(this, offsetBytes, from.byteLength);
    if (from.byteLength === 0) return undefined;
    const partBytes = from.byteLength < PARTED_WRITE_BYTES ? from.byteLength : WRITE_PART_BYTES;
    const begun: Completion[] = [];
    // Waited for also after an error: the memory may be used anew only when the cluster is through with it.
    return ensuring(
      () => {
        for (let done = 0; done < from.byteLength; done += partBytes) {
          const part = from.subarray(done, done + partBytes);
          begun.push(this.#io.write(this.#image, offsetBytes + done, part));
        }
      },
      () =>
        chain(all(begun.map((completion) => this.#requests.result(completion, from))), (results) => {
          for (const result of results) checkedRados('rbd_aio_write', result);
        }),
    );
  }

  update({ offsetBytes, lengthBytes }: Range, change: (bytes: Uint8Array) => BlockChange): Maybe<void> {
    checkRange(this, offsetBytes, lengthBytes);
    // In one piece of memory, which stays for as long as the cluster may need it.
    const memory = new Uint8Array(2 * lengthBytes + MISMATCH_BYTES);
    const before = memory.subarray(0, lengthBytes);
    const after = memory.subarray(lengthBytes, 2 * lengthBytes);
    const mismatch = memory.subarray(2 * lengthBytes);
    return repeat(() =>
      chain(this.read(offsetBytes, before), () => {
        after.set(before);
        const outcome = change(after);
        if (outcome === 'keep') return false;
        if (outcome === 'zero') after.fill(0);
        const request = { before, after, mismatch };
        const written = this.#io.compareAndWrite(this.#image, offsetBytes, request);
        // Of this kind of request librbd signals no end, but of the flush behind it, which ends after it.
        const behind = this.#io.flush(this.#image);
        return chain(this.#requests.result(behind, memory), () => {
          const result = this.#io.takeEnded(written);
          // Somebody else has written in between, so what is to be written must be thought out again.
          return checkedRados('rbd_aio_compare_and_write', result, 'EILSEQ') < 0;
        });
      }),
    );
  }

  zero(range: Range): Maybe<void> {
    return this.#eachPiece(range, 'rbd_aio_write_zeroes', (piece) =>
      this.#io.writeZeroes(this.#image, piece),
    );
  }

  discard(range: Range): Maybe<void> {
    return this.#eachPiece(range, 'rbd_aio_discard', (piece) => this.#io.discard(this.#image, piece));
  }

  reserve(range: Range): void {
    // Ceph sets no space apart: the pool's admission keeps some free for what has been let in.
    checkRange(this, range.offsetBytes, range.lengthBytes);
  }

  extents(range: Range): readonly Extent[] {
    checkRange(this, range.offsetBytes, range.lengthBytes);
    const end = range.offsetBytes + range.lengthBytes;
    const list = new ExtentList(range.offsetBytes);
    if (range.lengthBytes === 0) return list.extents;
    this.#librbd.eachExtent(this.#image, range, ({ offsetBytes, lengthBytes }, isData) => {
      if (!isData) return;
      list.extendTo(Math.min(offsetBytes, end), 'zero');
      list.extendTo(Math.min(offsetBytes + lengthBytes, end), 'data');
    });
    list.extendTo(end, 'zero');
    return list.extents;
  }

  flush(): Maybe<void> {
    return this.#done('rbd_aio_flush', this.#io.flush(this.#image));
  }

  resize(sizeBytes: number): void {
    checkSize(this.blockSize, sizeBytes);
    this.#librbd.resize(this.#image, sizeBytes);
    this.#sizeBytes = sizeBytes;
  }

  close(): void {
    this.#librbd.close(this.#image);
    this.#requests.close();
  }

  #eachPiece(range: Range, call: string, begin: (piece: Range) => Completion): Maybe<void> {
    const { offsetBytes, lengthBytes } = range;
    checkRange(this, offsetBytes, lengthBytes);
    return inPieces({ lengthBytes, pieceBytes: ZERO_PIECE_BYTES }, (from, pieceBytes) => {
      const piece = { offsetBytes: offsetBytes + from, lengthBytes: pieceBytes };
      return this.#done(call, begin(piece));
    });
  }

  #done(call: string, completion: Completion): Maybe<void> {
    return chain(this.#requests.result(completion), (result) => void checkedRados(call, result));
  }
}

/** All results, once the last one is there. */
function all(results: readonly Maybe<number>[]): Maybe<readonly number[]> {
  const known = results.filter((result) => typeof result === 'number');
  return known.length === results.length ? known : Promise.all(results);
}
