import { expect, test } from 'vitest';
import { LookUps } from './look-ups.ts';

/** Look-ups that count, and can be held. */
function counted(): { lookUp: () => Promise<number>; count: () => number } {
  let count = 0;
  return { lookUp: async () => (count += 1), count: () => count };
}

test('what was found is found again without looking, until it is forgotten', async () => {
  const lookUps = new LookUps();
  const { lookUp } = counted();
  expect(await lookUps.find('a', lookUp)).toBe(1);
  expect(await lookUps.find('a', lookUp)).toBe(1);
  expect(await lookUps.find('b', lookUp)).toBe(2);
  lookUps.forget();
  expect(await lookUps.find('a', lookUp)).toBe(3);
});

test('a look-up that began before a commit is not shared by who asks after it', async () => {
  const lookUps = new LookUps();
  const { promise: old, resolve: answerOld } = Promise.withResolvers<string>();
  const before = lookUps.find('a', () => old);
  lookUps.forget();
  const after = lookUps.find('a', async () => 'new');
  answerOld('old');
  expect(await before).toBe('old');
  expect(await after).toBe('new');
  expect(await lookUps.find('a', async () => 'newer')).toBe('new');
});

test('a failure is not remembered, nor does an old one undo what was found since', async () => {
  const lookUps = new LookUps();
  const { promise: old, reject: failOld } = Promise.withResolvers<string>();
  const before = lookUps.find('a', () => old);
  lookUps.forget();
  expect(await lookUps.find('a', async () => 'new')).toBe('new');
  failOld(new Error('gone'));
  await expect(before).rejects.toThrow('gone');
  expect(await lookUps.find('a', async () => 'newer')).toBe('new');
  await expect(lookUps.find('b', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await lookUps.find('b', async () => 'yes')).toBe('yes');
});

test('no more than 10,000 are remembered', async () => {
  const lookUps = new LookUps();
  const { lookUp, count } = counted();
  for (let key = 0; key <= 10_000; key += 1) await lookUps.find(String(key), lookUp);
  await lookUps.find('0', lookUp);
  expect(count()).toBe(10_002);
  await lookUps.find('10000', lookUp);
  expect(count()).toBe(10_002);
});
