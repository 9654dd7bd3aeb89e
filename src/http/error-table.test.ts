import { describe, expect, test } from 'vitest';
import { DriveError, driveMissing } from '../core/errors.ts';
import type { ErrorCode } from '../core/errors.ts';
import { DRIVE, fakeService, OTHER, OWNER, pagesOf } from '../../test/helpers/fake-service.ts';
import { httpHarness, request } from '../../test/helpers/http-harness.ts';
import { commandMissing, ERROR_TABLE } from './error-table.ts';

const URL = `/drives/${DRIVE}/destroy`;

/** The answer of a command whose service throws this. */
async function answerTo(error: unknown, headers: Record<string, string> = {}) {
  const destroy = async (): Promise<void> => {
    throw error;
  };
  await using harness = await httpHarness({ service: fakeService({ drives: { destroy } }).service });
  const answer = await request(harness, 'POST', URL, { headers });
  return { answer, lines: harness.lines };
}

/** API.md's table, written down again on purpose. */
const LINES: readonly [ErrorCode, number, string][] = [
  ['usage', 400, 'usage'],
  ['auth', 401, 'auth'],
  ['missing', 404, 'missing'],
  ['method', 405, 'method'],
  ['busy', 409, 'busy'],
  ['too-large', 413, 'usage'],
  ['failed', 500, 'failed'],
  ['system', 503, 'system'],
  ['full', 507, 'full'],
];

describe('every line of the error table', () => {
  test('is here', () => {
    expect(LINES.map(([code]) => code).sort()).toEqual(Object.keys(ERROR_TABLE).sort());
  });

  test.each(LINES)('%s is %i with X-Elastic-Error %s', async (code, status, type) => {
    const { answer } = await answerTo(
      new DriveError(code, 'What was wrong with drive 7.', { allow: 'POST' }),
    );
    expect([answer.status, answer.headers['x-elastic-error']]).toEqual([status, type]);
    expect(answer.headers['content-type']).toMatch(/^text\/plain/);
    const told = code === 'failed' ? 'request id' : 'What was wrong with drive 7.\n';
    expect(answer.text).toContain(told);
  });

  test.each(LINES)(
    '%s is a JSON object with error and message when JSON was asked for',
    async (code, _status, type) => {
      const error = new DriveError(code, 'What was wrong.', { allow: 'POST' });
      const { answer } = await answerTo(error, { accept: 'application/json' });
      expect(answer.headers['content-type']).toBe('application/json');
      expect(JSON.parse(answer.text)).toEqual({ error: type, message: expect.any(String) });
    },
  );
});

describe('an error', () => {
  test('of credentials says how to give some', async () => {
    const { answer } = await answerTo(new DriveError('auth', 'No.'));
    expect(answer.headers['www-authenticate']).toMatch(/^Basic realm="/);
  });

  test('of a part that is away says when to try again, and is logged', async () => {
    const { answer, lines } = await answerTo(new DriveError('system', 'The database is away.'));
    expect(answer.headers['retry-after']).toBe('5');
    expect(lines.filter((line) => line['level'] === 40)).toHaveLength(1);
  });

  test('that nobody expected is 500, carries the request id, leaks nothing and is logged once with its stack', async () => {
    const { answer, lines } = await answerTo(new TypeError('secret detail'));
    const requestId = String(answer.headers['x-request-id']);
    expect(answer.status).toBe(500);
    expect(answer.text).toContain(requestId);
    expect(answer.text).not.toContain('secret');
    const logged = lines.filter((line) => line['level'] === 50);
    expect(logged).toEqual([
      expect.objectContaining({
        requestId,
        err: expect.objectContaining({ stack: expect.stringContaining('secret detail') }),
      }),
    ]);
  });

  test('of Drivebay’s own leaks nothing, even when it was thrown as a DriveError', async () => {
    const { answer } = await answerTo(new DriveError('failed', 'secret detail'));
    expect(answer.text).not.toContain('secret');
  });

  test('while the first page of a list is read has an answer of its own', async () => {
    const infos = async function* () {
      yield* pagesOf<{ drive: string }>();
      throw new DriveError('system', 'The database is away.');
    };
    await using harness = await httpHarness({ service: fakeService({ drives: { infos } }).service });
    for (const accept of ['text/plain', 'application/json']) {
      expect((await request(harness, 'GET', '/drives/info', { headers: { accept } })).status).toBe(503);
    }
  });

  test('404 says that it could not be found, for commands as for drives', () => {
    expect(driveMissing(DRIVE).message).toContain('could not be found');
    expect(commandMissing('/nonsense').message).toContain('could not be found');
  });

  test('repeats only so much of what the client sent, and no control characters', async () => {
    await using harness = await httpHarness();
    const long = await request(harness, 'POST', '/drives/create', { body: `size ${'9'.repeat(5000)}\n` });
    expect(long.text.length).toBeLessThan(300);
    const control = await request(harness, 'POST', '/drives/create', { body: 'size \u001b[31m\n' });
    expect(control.text).not.toContain('\u001b');
  });
});

describe('who may do what', () => {
  const ADMIN_URLS = [
    ['POST', '/admin/users/create'],
    ['GET', '/admin/users/create'],
    ['GET', '/admin/users/list'],
    ['POST', `/admin/users/${OTHER}/set`],
    ['DELETE', '/admin/pools/info'],
    ['POST', '/admin/master-key/rotate'],
  ] as const;

  test.each(ADMIN_URLS)(
    '%s %s is for a user who is no admin the same 404 as an unknown command',
    async (method, url) => {
      const { service, calls } = fakeService();
      await using harness = await httpHarness({ service });
      const answer = await request(harness, method, url, { user: OWNER, body: 'nonsense key\n' });
      const unknown = await request(harness, method, '/admin/nonsense', {
        user: OWNER,
        body: 'nonsense key\n',
      });
      expect(answer.status).toBe(404);
      expect(answer.text.replace(url, '')).toBe(unknown.text.replace('/admin/nonsense', ''));
      const shape = (headers: Readonly<Record<string, unknown>>): string[] => Object.keys(headers).sort();
      expect(shape(answer.headers)).toEqual(shape(unknown.headers));
      expect(calls.every((call) => call.name === 'access.authenticate')).toBe(true);
    },
  );
});
