import { GIB } from '../../core/sizes.ts';
import type { SocketCalls } from '../../runtime/socket-calls.ts';
import type { BlockDevice, Extent, Range } from '../block-device.ts';
import { inPieces } from '../maybe.ts';
import { checkRange, checkSize, ExtentList } from '../ranges.ts';
import type { Completion, ImageCalls } from './image-io.ts';
import type { Image, Librbd } from './librbd.ts';
import { checkedRados } from './rados-error.ts';

/** How long a thread waits for the cluster at a time: between two waits it can be ended. */
const WAIT_MS = 500;
/** What is given back at a time. */
const ZERO_PIECE_BYTES = GIB;

/** What a device works with. */
export interface RbdCalls {
  readonly librbd: Librbd;
  readonly io: ImageCalls;
  readonly signals: Pick<SocketCalls, 'newSignal' | 'clearSignal' | 'close'>;
}

/**
 * An RBD image as a device, byte by byte. It owns the image. Its size is that of the image when it was opened or last
 * resized through it. What is written is on stable storage at once, since nothing is cached here; while the cluster is
 * away every call waits for it.
 */
export function rbdDevice(image: Image, calls: RbdCalls): BlockDevice {
  return new RbdDevice(image, calls);
}

class RbdDevice implements BlockDevice {
  readonly blockSize = 1;
  readonly #image: Image;
  readonly #calls: RbdCalls;
  /** Signalled by librbd whenever a request is complete. */
  readonly #signal: number;
  /** What was begun and not settled yet, each with its memory. */
  #begun: { readonly completion: Completion; readonly from: Uint8Array }[] = [];
  #sizeBytes: number;

  constructor(image: Image, calls: RbdCalls) {
    this.#image = image;
    this.#calls = calls;
    this.#sizeBytes = calls.librbd.sizeOf(image);
    this.#signal = calls.signals.newSignal();
    calls.io.notify(image, this.#signal);
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  read(offsetBytes: number, into: Uint8Array): void {
    checkRange(this, offsetBytes, into.byteLength);
    if (into.byteLength === 0) return;
    const readBytes = this.#settle('rbd_aio_read', this.#calls.io.read(this.#image, offsetBytes, into));
    // Another opening may have cut the image.
    if (readBytes < into.byteLength) into.fill(0, readBytes);
  }

  write(offsetBytes: number, from: Uint8Array): void {
    checkRange(this, offsetBytes, from.byteLength);
    if (from.byteLength === 0) return;
    this.#settle('rbd_aio_write', this.#calls.io.write(this.#image, offsetBytes, from));
  }

  beginWrite(offsetBytes: number, from: Uint8Array): void {
    checkRange(this, offsetBytes, from.byteLength);
    if (from.byteLength === 0) return;
    this.#begun.push({ completion: this.#calls.io.write(this.#image, offsetBytes, from), from });
  }

  settleWrites(): void {
    const begun = this.#begun;
    this.#begun = [];
    const results = begun.map(({ completion }) => this.#wait(completion));
    for (const result of results) checkedRados('rbd_aio_write', result);
  }

  zero(range: Range): void {
    checkRange(this, range.offsetBytes, range.lengthBytes);
    this.#eachPiece(range, (piece) => {
      this.#settle('rbd_aio_write_zeroes', this.#calls.io.writeZeroes(this.#image, piece));
    });
  }

  discard(range: Range): void {
    checkRange(this, range.offsetBytes, range.lengthBytes);
    this.#eachPiece(range, (piece) => {
      this.#settle('rbd_aio_discard', this.#calls.io.discard(this.#image, piece));
    });
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
    this.#calls.librbd.eachExtent(this.#image, range, ({ offsetBytes, lengthBytes }, isData) => {
      if (!isData) return;
      list.extendTo(Math.min(offsetBytes, end), 'zero');
      list.extendTo(Math.min(offsetBytes + lengthBytes, end), 'data');
    });
    list.extendTo(end, 'zero');
    return list.extents;
  }

  flush(): void {
    this.#settle('rbd_aio_flush', this.#calls.io.flush(this.#image));
  }

  resize(sizeBytes: number): void {
    checkSize(this.blockSize, sizeBytes);
    this.#calls.librbd.resize(this.#image, sizeBytes);
    this.#sizeBytes = sizeBytes;
  }

  close(): void {
    this.#calls.librbd.close(this.#image);
    this.#calls.signals.close(this.#signal);
  }

  #eachPiece({ offsetBytes, lengthBytes }: Range, work: (piece: Range) => void): void {
    void inPieces({ lengthBytes, pieceBytes: ZERO_PIECE_BYTES }, (from, pieceBytes) =>
      work({ offsetBytes: offsetBytes + from, lengthBytes: pieceBytes }),
    );
  }

  #settle(call: string, completion: Completion): number {
    return checkedRados(call, this.#wait(completion));
  }

  #wait(completion: Completion): number {
    const { io, signals } = this.#calls;
    while (!io.isComplete(completion)) {
      io.waitFor(this.#signal, WAIT_MS);
      signals.clearSignal(this.#signal);
      io.clearEvents(this.#image);
    }
    return io.take(completion);
  }
}
