import { SingleBar } from 'cli-progress';
import type { CliIo } from '../cli-io.ts';

/** Shows how far the server is with what it does by itself: `queued` or a percentage. */
export interface JobBar {
  show(state: string): void;
  stop(): void;
}

/** A bar on a terminal, nothing elsewhere: whoever waits without one waits for the exit code. */
export function createJobBar(io: CliIo, { title, isQuiet }: { title: string; isQuiet: boolean }): JobBar {
  if (isQuiet || !io.isTty) return { show: () => undefined, stop: () => undefined };
  const options = {
    format: `${title} [{bar}] {state}  {duration_formatted}`,
    stream: io.stderr,
    hideCursor: true,
    barsize: 24,
    clearOnComplete: true,
  };
  const bar = new SingleBar(options as ConstructorParameters<typeof SingleBar>[0]);
  bar.start(100, 0, { state: 'queued' });
  return {
    show: (state) => bar.update(Number.parseInt(state, 10) || 0, { state }),
    stop: () => bar.stop(),
  };
}
