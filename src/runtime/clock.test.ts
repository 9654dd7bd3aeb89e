import { expect, test } from 'vitest';
import { systemClock } from './clock.ts';

test('a sleep ends at once when its signal is aborted', async () => {
  const aborter = new AbortController();
  const sleep = systemClock.sleep(3_600_000, aborter.signal);
  aborter.abort();
  await expect(sleep).resolves.toBeUndefined();
  await expect(systemClock.sleep(3_600_000, aborter.signal)).resolves.toBeUndefined();
});
