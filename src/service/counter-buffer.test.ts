import { expect, test } from 'vitest';
import type { DriveCounters } from '../core/drive.ts';
import { DriveError } from '../core/errors.ts';
import { createCounterBuffer } from './counter-buffer.ts';
import { DriveActivity } from './drive-activity.ts';

/** A buffer over metadata that a test holds up, lets go on, or takes away. */
function scratchBuffer() {
  const written: ReadonlyMap<string, DriveCounters>[] = [];
  const metadata = { isAway: false, until: Promise.resolve(), calls: 0 };
  const counters = createCounterBuffer({
    activity: new DriveActivity(),
    collect: () => undefined,
    metadata: {
      async addCounters(deltas) {
        metadata.calls += 1;
        await metadata.until;
        if (metadata.isAway) throw new DriveError('system', 'It is away.');
        written.push(deltas);
      },
    },
  });
  return {
    counters,
    metadata,
    written,
    read: () => counters.count('d', { kind: 'read', bytes: 10, seconds: 1 }),
  };
}

test('what could not be written is kept, and written with what came since', async () => {
  const { counters, metadata, written, read } = scratchBuffer();
  read();
  metadata.isAway = true;
  await expect(counters.flush()).rejects.toMatchObject({ code: 'system' });
  read();
  await expect(counters.flush()).rejects.toMatchObject({ code: 'system' });
  metadata.isAway = false;
  read();
  await counters.flush();
  expect(written.map((deltas) => deltas.get('d'))).toEqual([
    { readBytes: 30, readRequests: 3, writeBytes: 0, writeRequests: 0 },
  ]);
});

test('however many wait for a slow database, it is asked once for all of them', async () => {
  const { counters, metadata, written, read } = scratchBuffer();
  const { promise, resolve } = Promise.withResolvers<void>();
  metadata.until = promise;
  read();
  const flushes = [counters.flush()];
  await expect.poll(() => metadata.calls).toBe(1);
  for (let round = 0; round < 50; round += 1) {
    read();
    flushes.push(counters.flush());
  }
  resolve();
  await Promise.all(flushes);
  expect(written.map((deltas) => deltas.get('d')?.readRequests)).toEqual([1, 50]);
});
