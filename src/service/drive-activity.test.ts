import { expect, test } from 'vitest';
import { DriveActivity, NO_ACTIVITY } from './drive-activity.ts';
import type { IoActivity } from './drive-activity.ts';
import { MAX_ACTIVE_DRIVES } from './limits.ts';

const READ: IoActivity = { ...NO_ACTIVITY, read: { requests: 2, bytes: 100, seconds: 0.5 } };

test('what was done is added up by kind, and nothing more is kept of it', () => {
  const activity = new DriveActivity();
  activity.add('a', { ...READ, read: { ...READ.read, histogram: [2] } as IoActivity['read'] });
  activity.add('a', { ...READ, flush: { requests: 1, bytes: 0, seconds: 0.25 } });
  expect(activity.recent().get('a')).toEqual({
    read: { requests: 4, bytes: 200, seconds: 1 },
    write: { requests: 0, bytes: 0, seconds: 0 },
    flush: { requests: 1, bytes: 0, seconds: 0.25 },
    other: { requests: 0, bytes: 0, seconds: 0 },
  });
});

test('a look stays as it was while more is done', () => {
  const activity = new DriveActivity();
  activity.add('a', READ);
  const before = activity.recent();
  activity.add('a', READ);
  activity.add('b', READ);
  expect([before.size, before.get('a')]).toEqual([1, READ]);
});

test('only the drives used last are kept, and one that was forgotten begins anew', () => {
  const activity = new DriveActivity();
  for (let drive = 0; drive < MAX_ACTIVE_DRIVES; drive += 1) activity.add(`${drive}`, READ);
  activity.add('0', READ);
  // Not used, although looked at.
  activity.add('1', NO_ACTIVITY);
  activity.add('new', READ);
  const recent = activity.recent();
  expect(recent.size).toBe(MAX_ACTIVE_DRIVES);
  expect([recent.has('0'), recent.has('1'), recent.has('2'), recent.has('new')]).toEqual([
    true,
    false,
    true,
    true,
  ]);
  activity.add('1', READ);
  expect(activity.recent().get('1')).toEqual(READ);
});

test('nothing that was done is no use of a drive', () => {
  const activity = new DriveActivity();
  activity.add('a', NO_ACTIVITY);
  expect(activity.recent().size).toBe(0);
});
