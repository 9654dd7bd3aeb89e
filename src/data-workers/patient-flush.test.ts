import { expect, test } from 'vitest';
import { DriveError } from '../core/errors.ts';
import { flushPatiently } from './patient-flush.ts';

const AWAY = new DriveError('system', 'The pool is away.');

test('a flush waits until the pool is back', async () => {
  const answers = [AWAY, AWAY, null];
  const flush = (): Promise<void> => {
    const answer = answers.shift() ?? null;
    return answer === null ? Promise.resolve() : Promise.reject(answer);
  };
  await flushPatiently(flush, () => false);
  expect(answers).toEqual([]);
});

test('it waits no longer than its connection lasts, and not at all for what does not pass', async () => {
  let calls = 0;
  const away = (): Promise<void> => {
    calls += 1;
    return Promise.reject(AWAY);
  };
  await expect(flushPatiently(away, () => calls === 3)).rejects.toBe(AWAY);
  const mistake = new Error('A mistake.');
  await expect(
    flushPatiently(
      () => Promise.reject(mistake),
      () => false,
    ),
  ).rejects.toBe(mistake);
});
