import type { Info } from './api/api-client.ts';
import { CliError } from './cli-error.ts';
import type { JobBar } from './output/job-bar.ts';
import type { Session } from './session.ts';

const FIRST_POLL_MS = 50;
const LONGEST_POLL_MS = 1000;

export interface JobWait {
  /** What the server says of the drive now. */
  readonly ask: () => Promise<Info>;
  /** How far it is; null once it has ended, in whichever way. */
  readonly stateOf: (info: Info) => string | null;
  readonly bar: JobBar;
  /** What goes on without us, for who interrupts. */
  readonly goesOn: string;
}

/** Asks until the server has ended what it does by itself; at first often, because it may take no time. */
export async function waitForJob(session: Session, { ask, stateOf, bar, goesOn }: JobWait): Promise<Info> {
  const interrupted = new AbortController();
  const stopListening = session.io.onInterrupt(() => interrupted.abort());
  try {
    for (let delayMs = FIRST_POLL_MS; ; delayMs = Math.min(LONGEST_POLL_MS, delayMs * 1.5)) {
      const info = await ask();
      const state = stateOf(info);
      if (state === null) return info;
      bar.show(state);
      await session.io.sleep(delayMs, interrupted.signal);
      if (interrupted.signal.aborted) throw new CliError('interrupted', `interrupted; ${goesOn}`);
    }
  } finally {
    stopListening();
    bar.stop();
  }
}
