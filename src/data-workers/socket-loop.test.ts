import { expect, onTestFinished, test } from 'vitest';
import { loadSocketCalls, ONCE_EACH, READABLE } from '../runtime/socket-calls.ts';
import { createSocketLoop } from './socket-loop.ts';

test('a signal that is watched once each is told once, though nobody clears it, and again when it is given again', () => {
  const calls = loadSocketCalls();
  const [wakeUp, signal] = [calls.newSignal(), calls.newSignal()];
  onTestFinished(() => [wakeUp, signal].forEach((descriptor) => calls.close(descriptor)));
  const loop = createSocketLoop(wakeUp);
  let told = 0;
  loop.add(signal, READABLE + ONCE_EACH, { onReady: () => (told += 1), onDeadline: () => undefined });
  const toldAfterWait = (): number => {
    // The loop has something to wait for in any case.
    calls.signal(wakeUp);
    loop.wait();
    return told;
  };
  calls.signal(signal);
  expect([toldAfterWait(), toldAfterWait()]).toEqual([1, 1]);
  calls.signal(signal);
  calls.signal(signal);
  expect([toldAfterWait(), toldAfterWait()]).toEqual([2, 2]);
});
