import { expect, test } from 'vitest';
import { createLifecycle } from './lifecycle.ts';
import type { Lifecycle } from './lifecycle.ts';

function createObserved(): { lifecycle: Lifecycle; events: string[] } {
  const events: string[] = [];
  const lifecycle = createLifecycle({
    onStopped: (name) => void events.push(`stopped ${name}`),
    onStopFailed: (name) => void events.push(`failed ${name}`),
  });
  return { lifecycle, events };
}

test('what was started last is stopped first, and each waits for the one before', async () => {
  const { lifecycle, events } = createObserved();
  for (const name of ['metadata', 'pools', 'http']) {
    lifecycle.own(name, async () => {
      events.push(`stopping ${name}`);
      await Promise.resolve();
    });
  }
  await lifecycle.stop();
  expect(events).toEqual([
    'stopping http',
    'stopped http',
    'stopping pools',
    'stopped pools',
    'stopping metadata',
    'stopped metadata',
  ]);
});

test('one that fails to stop does not keep the others running', async () => {
  const { lifecycle, events } = createObserved();
  lifecycle.own('metadata', () => undefined);
  lifecycle.own('pools', () => Promise.reject(new Error('stuck')));
  await lifecycle.stop();
  expect(events).toEqual(['failed pools', 'stopped metadata']);
});

test('a start that fails half-way is undone', async () => {
  const { lifecycle, events } = createObserved();
  async function start(): Promise<void> {
    await using owner = lifecycle;
    owner.own('metadata', () => undefined);
    throw new Error('no port');
  }
  await expect(start()).rejects.toThrow('no port');
  expect(events).toEqual(['stopped metadata']);
});

test('stopping twice stops each thing once', async () => {
  const { lifecycle, events } = createObserved();
  lifecycle.own('metadata', () => undefined);
  await Promise.all([lifecycle.stop(), lifecycle.stop()]);
  expect(events).toEqual(['stopped metadata']);
});

test('what is handed over during the stop is stopped too', async () => {
  const { lifecycle, events } = createObserved();
  lifecycle.own('http', () => lifecycle.own('late', () => undefined));
  await lifecycle.stop();
  expect(events).toEqual(['stopped http', 'stopped late']);
});
