import { SingleBar } from 'cli-progress';
import type { CliIo } from '../cli-io.ts';

/** Shows what `imaging` in the full info says: `queued` or a percentage. */
export interface ImagingBar {
  show(imaging: string): void;
  stop(): void;
}

/** A bar on a terminal, nothing elsewhere: whoever waits without one waits for the exit code. */
export function createImagingBar(io: CliIo, isQuiet: boolean): ImagingBar {
  if (isQuiet || !io.isTty) return { show: () => undefined, stop: () => undefined };
  const options = {
    format: 'imaging [{bar}] {state}  {duration_formatted}',
    stream: io.stderr,
    hideCursor: true,
    barsize: 24,
    clearOnComplete: true,
  };
  const bar = new SingleBar(options as ConstructorParameters<typeof SingleBar>[0]);
  bar.start(100, 0, { state: 'queued' });
  return {
    show: (imaging) => bar.update(Number.parseInt(imaging, 10) || 0, { state: imaging }),
    stop: () => bar.stop(),
  };
}
