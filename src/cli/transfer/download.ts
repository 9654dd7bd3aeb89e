import { CliError } from '../cli-error.ts';
import { gmacOf } from '../../runtime/gmac.ts';
import { forEachBlock, type Block } from './block-workers.ts';
import type { SeekableTarget } from './download-target.ts';
import { PieceHasher } from './piece-hasher.ts';
import { RemoteMap } from './remote-map.ts';
import type { StreamTarget } from './stream-target.ts';
import { newTally, type TransferContext, type TransferTally } from './transfer.ts';
import { isZero, zeros } from './zero-blocks.ts';

/**
 * Makes a file equal to a drive and receives only what differs; zero blocks become holes. What a part of an earlier
 * download holds is told by its hashes, so a second run continues where the first one stopped.
 */
export async function downloadToFile(
  context: TransferContext,
  target: SeekableTarget,
): Promise<TransferTally> {
  const remote = new DriveReader(context);
  await run(context, (block) =>
    target.isFresh ? fill(remote, target, block) : update(remote, target, block),
  );
  if (!context.interruption.hasHappened) await target.finish();
  return remote.tally;
}

/** Sends a drive's bytes down a stream, in order; several pieces are fetched at once, each waits for its turn. */
export async function downloadToStream(
  context: TransferContext,
  target: StreamTarget,
): Promise<TransferTally> {
  const remote = new DriveReader(context);
  let lastTurn: Promise<unknown> = Promise.resolve();
  await run(context, (block) => {
    const turn = lastTurn;
    const work = (async () => {
      const isData = await remote.loadData(block);
      await turn;
      await target.write(isData ? block.buffer : zeros(block.sizeBytes));
    })();
    lastTurn = work;
    return work;
  });
  if (!context.interruption.hasHappened) await target.finish();
  return remote.tally;
}

async function run(context: TransferContext, task: (block: Block) => Promise<void>): Promise<void> {
  const { driveBytes, progress } = context;
  progress.start(driveBytes);
  try {
    await forEachBlock(context, async (block) => {
      await task(block);
      progress.advance(block.sizeBytes);
    });
  } finally {
    progress.stop();
  }
}

/** Into a file where nothing was: zeros are there already. The map may call data what was written as zeros. */
async function fill(remote: DriveReader, target: SeekableTarget, block: Block): Promise<void> {
  if ((await remote.loadData(block)) && !isZero(block.buffer))
    await target.write(block.offsetBytes, block.buffer);
}

/** Into a file that may hold anything. */
async function update(remote: DriveReader, target: SeekableTarget, block: Block): Promise<void> {
  const isHole = target.isHole(block.offsetBytes, block.sizeBytes);
  if (!isHole) await target.read(block.offsetBytes, block.buffer);
  const isLocalZero = isHole || isZero(block.buffer);
  if (!isLocalZero && (await remote.holds(block))) return;
  const isData = (await remote.loadData(block)) && !isZero(block.buffer);
  if (isData) await target.write(block.offsetBytes, block.buffer);
  else if (!isLocalZero) await target.write(block.offsetBytes, zeros(block.sizeBytes));
}

/** Reads blocks of the drive, as little as its map allows, and checks them. */
class DriveReader {
  readonly tally: TransferTally;
  readonly #context: TransferContext;
  readonly #map: RemoteMap;
  readonly #hasher: PieceHasher;

  constructor(context: TransferContext) {
    const { api, driveId, driveBytes } = context;
    this.tally = newTally(driveBytes);
    this.#context = context;
    this.#hasher = new PieceHasher(context);
    this.#map = new RemoteMap(driveBytes, (range, withHash) => api.map(driveId, range, withHash));
  }

  /** Whether the drive is known to hold just what is in the block's buffer. */
  async holds(block: Block): Promise<boolean> {
    if ((await this.#map.state(block.number)) !== 'data') return false;
    const remoteHash = await this.#map.sha256(block.number);
    if (remoteHash === null || remoteHash !== (await this.#hasher.sha256(block.buffer))) return false;
    this.tally.unchangedBytes += block.sizeBytes;
    return true;
  }

  /** Fills the block's buffer from the drive; false, with the buffer as it was, when the block is zero. */
  async loadData(block: Block): Promise<boolean> {
    if ((await this.#map.state(block.number)) === 'zero') {
      this.tally.zeroBytes += block.sizeBytes;
      return false;
    }
    const digest = await this.#context.api.read(this.#context.driveId, block.offsetBytes, block.buffer);
    if (digest === null) this.tally.uncheckedBytes += block.sizeBytes;
    else if (!digest.equals(gmacOf([block.buffer]))) {
      throw new CliError(
        'corrupt',
        `the bytes received at offset ${block.offsetBytes} are not those of the digest`,
      );
    }
    this.tally.movedBytes += block.sizeBytes;
    this.tally.wireBytes += block.sizeBytes;
    return true;
  }
}
