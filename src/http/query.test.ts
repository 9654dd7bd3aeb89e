import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { DRIVE, fakeService } from '../../test/helpers/fake-service.ts';
import { httpHarness, request } from '../../test/helpers/http-harness.ts';

test('an offset beyond all numbers is too large, and is not called none', async () => {
  await using harness = await httpHarness({ service: fakeService().service });
  const { status, text } = await request(harness, 'GET', `/drives/${DRIVE}/read/8192T/1`);
  expect([status, text]).toEqual([
    400,
    'The offset "8192T" is too large: the largest is 9007199254740991.\n',
  ]);
});

describe('lists at scale', () => {
  test('limit, after and tag are passed on', async () => {
    const { service, calls } = fakeService();
    await using harness = await httpHarness({ service });
    for (const url of ['/drives/list', '/drives/info', '/drives/info/full', '/drives/list/standard']) {
      await request(harness, 'GET', `${url}?limit=2&after=${DRIVE}&tag=a%20`.replace('%20', '%C3%A9'));
      expect(calls.at(-1)?.args[1]).toMatchObject({ limit: 2, after: DRIVE, tag: 'aé' });
    }
    expect(calls.at(-1)?.args[1]).toMatchObject({ scope: 'standard' });
  });

  test.each([
    'limit=0',
    'limit=-1',
    'limit=ten',
    'limit=',
    'limit=100001',
    'after=me',
    'tag=two+words',
    'tag=',
    'tag=%ff',
    'tag=%00',
    'tag=a%C2%9B',
    'limit=1&limit=2',
    'limit=1&colour=red',
  ])('?%s is 400', async (query) => {
    await using harness = await httpHarness();
    const answer = await request(harness, 'GET', `/drives/list?${query}`);
    expect([answer.status, answer.headers['x-elastic-error']]).toEqual([400, 'usage']);
  });

  test('a parameter that a changing command does not know keeps it from changing anything', async () => {
    const { service, calls } = fakeService();
    await using harness = await httpHarness({ service });
    expect((await request(harness, 'POST', `/drives/${DRIVE}/destroy?dry-run=1`)).status).toBe(400);
    expect(calls.map((call) => call.name)).toEqual(['access.authenticate']);
  });
});

describe('Idempotency-Key', () => {
  const create = async (key: string, body = 'size 1\n') => {
    const { service, calls } = fakeService();
    await using harness = await httpHarness({ service });
    const headers = { 'idempotency-key': key };
    const answer = await request(harness, 'POST', '/drives/create', { headers, body });
    return { answer, idempotency: calls.find((call) => call.name === 'drives.create')?.args[2] };
  };

  test('the key and the hash of the very bytes of the body are passed on', async () => {
    const { idempotency } = await create('k'.repeat(64));
    const bodyHash = createHash('sha256').update('size 1\n').digest();
    expect(idempotency).toEqual({ key: 'k'.repeat(64), bodyHash });
  });

  test.each(['k'.repeat(65), 'two words', ''])('the key "%s" is 400', async (key) => {
    expect((await create(key)).answer.status).toBe(400);
  });
});
