import { expect, test } from 'vitest';
import { DriveError } from '../core/errors.ts';
import { createLog } from './log.ts';

function logInto(lines: string[], level = 'info'): ReturnType<typeof createLog> {
  return createLog({ level, stream: { write: (line) => void lines.push(line) } });
}

test('a message is one line of JSON with its level and time', () => {
  const lines: string[] = [];
  logInto(lines).info({ port: 8600 }, 'listening');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toEqual({
    level: 'info',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    port: 8600,
    msg: 'listening',
  });
});

test('secrets are left out wherever they are passed', () => {
  const lines: string[] = [];
  const secret = 'hunter2hunter2hunter2';
  const log = logInto(lines);
  log.info({ key: secret, passphrase: secret, authorization: secret }, 'flat');
  log.info({ request: { headers: { authorization: secret } }, user: { key: secret } }, 'nested');
  log.error({ err: new DriveError('failed', 'broken', { key: secret }) }, 'error');
  const cause = new DriveError('failed', 'inner', { passphrase: secret });
  log.error({ err: new Error('outer', { cause }) }, 'cause');
  log.error({ error: { facts: { masterKey: secret } } }, 'no error');
  log.error({ reason: cause }, 'by another name');
  log.info({ list: [{ volumeKey: secret }, [{ cookie: secret }]] }, 'in lists');
  log.info({ a: { b: { c: { d: { e: { password: secret } } } } } }, 'deep');
  expect(lines).toHaveLength(8);
  expect(lines.join('')).not.toContain(secret);
});

test('everything else is logged as it is', () => {
  const lines: string[] = [];
  const list = [{ port: 1 }, null, 'text'];
  const circular: Record<string, unknown> = { password: 'hunter2' };
  circular['self'] = circular;
  logInto(lines).info({ list, at: new Date(0), user: { keys: 2, password: 'hunter2' }, circular }, 'fields');
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    list,
    at: '1970-01-01T00:00:00.000Z',
    user: { keys: 2, password: '[secret]' },
  });
  expect(lines[0]).not.toContain('hunter2');
});

test('an error is logged with its cause', () => {
  const lines: string[] = [];
  logInto(lines).error({ err: new Error('outer', { cause: new Error('inner reason') }) }, 'failed');
  expect(lines[0]).toContain('inner reason');
});

test('messages below the level are dropped', () => {
  const lines: string[] = [];
  logInto(lines, 'warn').info('quiet');
  expect(lines).toEqual([]);
});
