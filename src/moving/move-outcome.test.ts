import { expect, test } from 'vitest';
import { systemError } from '../blockdev/system-error.ts';
import { DriveError } from '../core/errors.ts';
import { failureOf, MoveStopped } from './move-outcome.ts';

const POOLS = { fromPool: 'one', toPool: 'two', isPoolAway: false };

test.each([
  ['a move that was told to stop', new MoveStopped('stopped'), { kind: 'stopped' }],
  ['a move that is there no more', new MoveStopped('gone'), { kind: 'gone' }],
  ['a pool that is away', new DriveError('system', 'Pool two is away.'), { kind: 'waiting' }],
  ['no room', new DriveError('full', 'There is none.'), { kind: 'failed', sentence: 'There is none.' }],
  ['a full disk', systemError('ENOSPC', 'write'), { kind: 'failed', sentence: 'Pool two ran out of room.' }],
  [
    'a bad disk',
    systemError('EIO', 'read'),
    { kind: 'failed', sentence: 'Reading pool one or writing pool two failed (EIO).' },
  ],
  ['a pool that others keep the node out of', systemError('ESHUTDOWN', 'read'), { kind: 'waiting' }],
  [
    'a mistake of Drivebay',
    new TypeError('undefined is not a function'),
    { kind: 'failed', sentence: 'The move failed by a fault of Drivebay; the log says more.' },
  ],
])('%s is told from other ends', (_what, error, outcome) => {
  expect(failureOf(error, POOLS)).toEqual(outcome);
});

test('a disk that fails because it has been taken away is waited for', () => {
  expect(failureOf(systemError('EIO', 'read'), { ...POOLS, isPoolAway: true })).toEqual({ kind: 'waiting' });
});
