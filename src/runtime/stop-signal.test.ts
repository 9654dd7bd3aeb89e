import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { waitForStopSignal } from './stop-signal.ts';

test('the first signal asks to drain and the second ends the process with 1', async () => {
  const events = new EventEmitter();
  const exits: number[] = [];
  const stop = waitForStopSignal({ events, exit: (exitCode) => void exits.push(exitCode) });
  events.emit('SIGTERM');
  await expect(stop).resolves.toBe('SIGTERM');
  expect(exits).toEqual([]);
  events.emit('SIGINT');
  expect(exits).toEqual([1]);
});
