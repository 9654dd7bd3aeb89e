import { setTimeout as sleep } from 'node:timers/promises';

export const BLOCK_BYTES = 4096;
/** How long a writer waits before it tries again what was not acknowledged. */
const RETRY_MS = 20;

/** What a block holds after the write of this number to it: the same all over, so that half a write is seen. */
export function numberedBlock(writer: string, block: number, number: number): Buffer {
  return Buffer.alloc(BLOCK_BYTES, `${writer} ${block} ${number}\n`);
}

/** Which write of the writer a block holds; 0 for none, null when it is no such thing. */
export function numberOf(writer: string, block: number, bytes: Buffer): number | null {
  if (bytes.every((byte) => byte === 0)) return 0;
  const number = Number(bytes.toString('latin1', 0, bytes.indexOf('\n')).split(' ')[2]);
  return bytes.equals(numberedBlock(writer, block, number)) ? number : null;
}

/** Takes note of what a writer does. A block has one write under way at a time. */
export interface WriteLog {
  sent(block: number, number: number): void;
  acknowledged(block: number, number: number): void;
  /** Anything but an acknowledgement; `what` is a word or a few. */
  refused(what: string): void;
}

/** Where blocks are written to. Answers `ok` once one is there for good, and otherwise what came instead. */
export type WriteBlock = (block: number, data: Buffer) => Promise<string>;

export interface BlockWriter {
  /** Tells writers apart. */
  readonly name: string;
  readonly blocks: readonly number[];
  /** How many blocks are written at a time. */
  readonly lanes: number;
  readonly write: WriteBlock;
  readonly log: WriteLog;
  readonly isStopped: () => boolean;
}

/** Writes to each block in turn, with numbers that go up, whatever comes of it. */
export async function writeBlocks({ name, blocks, lanes, ...rest }: BlockWriter): Promise<void> {
  const ofLane = (lane: number): readonly number[] => blocks.filter((_, index) => index % lanes === lane);
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => await writeLane(name, ofLane(lane), rest)),
  );
}

async function writeLane(
  name: string,
  blocks: readonly number[],
  { write, log, isStopped }: Pick<BlockWriter, 'write' | 'log' | 'isStopped'>,
): Promise<void> {
  for (let number = 1; ; number += 1) {
    for (const block of blocks) {
      if (isStopped()) return;
      log.sent(block, number);
      const answer = await write(block, numberedBlock(name, block, number));
      if (answer === 'ok') log.acknowledged(block, number);
      else {
        log.refused(answer);
        await sleep(RETRY_MS);
      }
    }
  }
}

/** What the blocks of a drive may hold, by what a writer has sent and was answered. */
export class WrittenBlocks implements WriteLog {
  readonly #name: string;
  readonly #sent = new Map<number, number>();
  readonly #acknowledged = new Map<number, number>();
  /** How often what came instead of an acknowledgement. */
  readonly refusals = new Map<string, number>();
  count = 0;

  /** @param name the writer's */
  constructor(name: string) {
    this.#name = name;
  }

  sent(block: number, number: number): void {
    this.#sent.set(block, number);
  }

  acknowledged(block: number, number: number): void {
    this.#acknowledged.set(block, number);
    this.count += 1;
  }

  refused(what: string): void {
    this.refusals.set(what, (this.refusals.get(what) ?? 0) + 1);
  }

  /** What is wrong with what the drive holds: what was acknowledged is there, and nothing that was not sent. */
  violations(drive: Buffer): readonly string[] {
    return [...this.#sent].flatMap(([block, sent]) => {
      const bytes = drive.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
      const number = numberOf(this.#name, block, bytes);
      const acknowledged = this.#acknowledged.get(block) ?? 0;
      if (number !== null && number >= acknowledged && number <= sent) return [];
      const held = number ?? JSON.stringify(bytes.toString('latin1', 0, 40));
      return [`block ${block} of ${this.#name}: ${held}, but ${acknowledged} was acknowledged, ${sent} sent`];
    });
  }
}
