import { FileError } from '../cli-error.ts';
import { gmacOf } from '../../runtime/gmac.ts';
import { forEachBlock, type Block } from './block-workers.ts';
import { PieceEncoder, type GzipMode } from './piece-encoder.ts';
import { PieceHasher } from './piece-hasher.ts';
import { RemoteMap } from './remote-map.ts';
import { newTally, type TransferContext, type TransferTally } from './transfer.ts';
import type { UploadSource } from './upload-source.ts';
import { createZeroWrites, isZero } from './zero-blocks.ts';

/**
 * Makes a drive equal to a source, zeros after its end, and sends only what differs: what is zero on both sides is
 * skipped, what the drive holds already is told by its hash. So a second run continues where the first one stopped.
 */
export async function upload(
  context: TransferContext,
  source: UploadSource,
  options: UploadOptions,
): Promise<TransferTally> {
  const run = new Upload(context, source, options);
  context.progress.start(context.driveBytes);
  try {
    await forEachBlock(context, (block) => run.transfer(block));
    await run.expectEnd();
  } finally {
    context.progress.stop();
  }
  return run.tally;
}

export interface UploadOptions {
  readonly gzip: GzipMode;
  /** Whether the drive was made just now: it is zeros then, without asking. */
  readonly isNewDrive: boolean;
}

class Upload {
  readonly tally: TransferTally;
  readonly #context: TransferContext;
  readonly #source: UploadSource;
  readonly #remote: RemoteMap;
  readonly #encoder: PieceEncoder;
  readonly #hasher: PieceHasher;
  readonly #zeroWrite = createZeroWrites();

  constructor(context: TransferContext, source: UploadSource, options: UploadOptions) {
    const { api, driveId, driveBytes } = context;
    this.tally = newTally(driveBytes);
    this.#context = context;
    this.#source = source;
    this.#remote = new RemoteMap(driveBytes, async (range, withHash) =>
      options.isNewDrive ? [{ ...range, isZero: true, sha256: null }] : api.map(driveId, range, withHash),
    );
    this.#hasher = new PieceHasher(context);
    this.#encoder = new PieceEncoder(options.gzip, context);
  }

  async transfer(block: Block): Promise<void> {
    if (await this.#loadIsZero(block)) await this.#transferZero(block);
    else await this.#transferData(block);
    this.#context.progress.advance(block.sizeBytes);
  }

  /** A source of known length must still have it, one of unknown length must not hold more than the drive. */
  async expectEnd(): Promise<void> {
    if (this.#context.interruption.hasHappened) return;
    const { name, sizeBytes } = this.#source;
    // What a file loses while it is read looks like a hole.
    if (sizeBytes !== null && sizeBytes > 0 && !(await this.#hasByteAt(sizeBytes - 1)))
      throw new FileError('failed', `${name} became shorter while it was read`);
    if (sizeBytes === null && (await this.#hasByteAt(this.#context.driveBytes))) {
      const reason = `${name} holds more than the drive's ${this.#context.driveBytes} bytes`;
      throw new FileError('failed', `${reason}; the drive now has its beginning`);
    }
  }

  async #hasByteAt(offsetBytes: number): Promise<boolean> {
    return (await this.#source.read(offsetBytes, Buffer.alloc(1))) > 0;
  }

  /** Brings the block into its buffer; a hole is not even read. */
  async #loadIsZero(block: Block): Promise<boolean> {
    if (this.#source.isHole(block.offsetBytes, block.sizeBytes)) return true;
    const filledBytes = await this.#source.read(block.offsetBytes, block.buffer);
    if (filledBytes < block.sizeBytes) block.buffer.fill(0, filledBytes);
    return isZero(block.buffer);
  }

  async #transferZero(block: Block): Promise<void> {
    if ((await this.#remote.state(block.number)) === 'zero') {
      this.tally.zeroBytes += block.sizeBytes;
      return;
    }
    const piece = this.#zeroWrite(block);
    await this.#context.api.write(this.#context.driveId, piece);
    this.tally.clearedBytes += block.sizeBytes;
    this.tally.wireBytes += piece.body.length;
  }

  async #transferData(block: Block): Promise<void> {
    if ((await this.#remote.state(block.number)) === 'data') {
      const remoteHash = this.#remote.sha256(block.number);
      if ((await this.#hasher.sha256(block.buffer)) === (await remoteHash)) {
        this.tally.unchangedBytes += block.sizeBytes;
        return;
      }
    }
    await this.#encoder.deliver(block.buffer, async ({ body, isGzip }) => {
      const piece = { offsetBytes: block.offsetBytes, body, isGzip, gmac: gmacOf([body]) };
      await this.#context.api.write(this.#context.driveId, piece);
      this.tally.wireBytes += body.length;
    });
    this.tally.movedBytes += block.sizeBytes;
  }
}
