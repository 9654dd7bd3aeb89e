import type { EventEmitter } from 'node:events';

/** The process, as far as signals go. */
export interface SignalSource {
  readonly events: Pick<EventEmitter, 'on' | 'off'>;
  /** Ends the process at once. */
  readonly exit: (exitCode: number) => void;
}

/** What asks the server to stop. */
export type StopSignal = 'SIGTERM' | 'SIGINT';

const SIGNALS: readonly StopSignal[] = ['SIGTERM', 'SIGINT'];

/**
 * Resolves with the first SIGTERM or SIGINT, upon which the server drains. A second one ends the process with exit code
 * 1, because whoever sends it does not want to wait.
 */
export function waitForStopSignal({ events, exit }: SignalSource): Promise<StopSignal> {
  return new Promise((resolve) => {
    let hasStopped = false;
    for (const signal of SIGNALS) {
      events.on(signal, () => {
        if (hasStopped) exit(1);
        hasStopped = true;
        resolve(signal);
      });
    }
  });
}
