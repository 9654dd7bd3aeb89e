import { SingleBar } from 'cli-progress';
import type { CliIo } from '../cli-io.ts';
import type { Progress } from '../transfer/transfer.ts';
import { durationText, rateText, sizeText } from './size-text.ts';

/** Without a terminal a line this often shows that something is going on. */
const LINE_EVERY_MS = 10_000;
/** The rate is that of the last while, so that it follows a line that changes. */
const RATE_WINDOW_MS = 8_000;
const SAMPLE_EVERY_MS = 250;

/** A bar on a terminal, now and then a line without one, nothing when quiet. */
export function createProgress(io: CliIo, title: string, isQuiet: boolean): Progress {
  if (isQuiet) return { start: () => undefined, advance: () => undefined, stop: () => undefined };
  return io.isTty ? createBar(io, title) : createLines(io, title);
}

function createBar(io: CliIo, title: string): Progress {
  const format = `${title} [{bar}] {percentage}%  {done} of {all}  {rate}  {left} left`;
  const options = {
    format,
    stream: io.stderr,
    hideCursor: true,
    clearOnComplete: true,
    barsize: 24,
    stopOnComplete: false,
  };
  const bar = new SingleBar(options as ConstructorParameters<typeof SingleBar>[0]);
  const pace = new Pace(io);
  return {
    start(totalBytes) {
      pace.start(totalBytes);
      bar.start(totalBytes, 0, pace.texts());
    },
    advance(doneBytes) {
      pace.advance(doneBytes);
      bar.update(pace.doneBytes, pace.texts());
    },
    stop: () => bar.stop(),
  };
}

function createLines(io: CliIo, title: string): Progress {
  const pace = new Pace(io);
  let lastLineMs = 0;
  return {
    start(totalBytes) {
      pace.start(totalBytes);
      lastLineMs = io.nowMs();
    },
    advance(doneBytes) {
      pace.advance(doneBytes);
      if (io.nowMs() - lastLineMs < LINE_EVERY_MS) return;
      lastLineMs = io.nowMs();
      const { done, all, rate, left } = pace.texts();
      io.stderr.write(`${title}: ${done} of ${all}, ${rate}, ${left} left\n`);
    },
    stop: () => undefined,
  };
}

/** How far, how fast, and how long still. */
class Pace {
  readonly #io: CliIo;
  #totalBytes = 0;
  doneBytes = 0;
  #samples: { atMs: number; doneBytes: number }[] = [];

  constructor(io: CliIo) {
    this.#io = io;
  }

  start(totalBytes: number): void {
    this.#totalBytes = totalBytes;
    this.#samples = [{ atMs: this.#io.nowMs(), doneBytes: 0 }];
  }

  advance(bytes: number): void {
    this.doneBytes += bytes;
    const atMs = this.#io.nowMs();
    if (atMs - (this.#samples.at(-1)?.atMs ?? 0) < SAMPLE_EVERY_MS) return;
    this.#samples.push({ atMs, doneBytes: this.doneBytes });
    while (atMs - (this.#samples[1]?.atMs ?? atMs) > RATE_WINDOW_MS) this.#samples.shift();
  }

  texts(): { done: string; all: string; rate: string; left: string } {
    const first = this.#samples[0] ?? { atMs: 0, doneBytes: 0 };
    const elapsedMs = this.#io.nowMs() - first.atMs;
    const movedBytes = this.doneBytes - first.doneBytes;
    const leftMs = movedBytes === 0 ? null : ((this.#totalBytes - this.doneBytes) / movedBytes) * elapsedMs;
    return {
      done: sizeText(this.doneBytes),
      all: sizeText(this.#totalBytes),
      rate: movedBytes === 0 ? '-' : rateText(movedBytes, elapsedMs),
      left: leftMs === null ? '-' : durationText(leftMs),
    };
  }
}
