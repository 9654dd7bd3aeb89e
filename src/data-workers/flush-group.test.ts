import { expect, test } from 'vitest';
import { createFlushGroup } from './flush-group.ts';

/** A device whose flushes are ended by hand. */
function manualFlushes(): { flush: () => Promise<void>; started: PromiseWithResolvers<void>[] } {
  const started: PromiseWithResolvers<void>[] = [];
  return {
    started,
    flush: () => {
      const gate = Promise.withResolvers<void>();
      started.push(gate);
      return gate.promise;
    },
  };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

test('a request that comes while a flush runs is not served by that one', async () => {
  const device = manualFlushes();
  const group = createFlushGroup(device.flush);
  const first = group.flush();
  let isSecondDone = false;
  const second = group.flush().then(() => {
    isSecondDone = true;
  });
  device.started[0]?.resolve();
  await first;
  await turn();
  expect(isSecondDone).toBe(false);
  expect(device.started).toHaveLength(2);
  device.started[1]?.resolve();
  await second;
});

test('all that wait share one flush', async () => {
  const device = manualFlushes();
  const group = createFlushGroup(device.flush);
  const first = group.flush();
  const others = [group.flush(), group.flush(), group.flush()];
  device.started[0]?.resolve();
  await first;
  await turn();
  device.started[1]?.resolve();
  await Promise.all(others);
  expect(device.started).toHaveLength(2);
});

test('a failed flush fails those it served and nobody after them', async () => {
  const device = manualFlushes();
  const group = createFlushGroup(device.flush);
  const first = group.flush();
  const second = group.flush();
  device.started[0]?.reject(new Error('EIO'));
  await expect(first).rejects.toThrow('EIO');
  await turn();
  device.started[1]?.resolve();
  await expect(second).resolves.toBeUndefined();
  const third = group.flush();
  device.started[2]?.resolve();
  await expect(third).resolves.toBeUndefined();
});
