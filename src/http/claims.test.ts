import { describe, expect, test } from 'vitest';
import { DriveError } from '../core/errors.ts';
import { ADMIN, DRIVE, fakeService, OTHER, OWNER, pagesOf } from '../../test/helpers/fake-service.ts';
import { httpHarness, request } from '../../test/helpers/http-harness.ts';
import type { InjectOptions } from '../../test/helpers/http-harness.ts';

/** What the service was asked by this request, and the answer. */
async function call(method: string, url: string, options: InjectOptions = {}) {
  const { service, calls } = fakeService();
  await using harness = await httpHarness({ service });
  const answer = await request(harness, method, url, options);
  return { answer, call: calls.find(({ name }) => name !== 'access.authenticate') };
}

const CLAIM_URL = `/drives/${DRIVE}/claim`;
const SERVER = `server ${OTHER}\n`;
const JSON_HEADERS = { 'content-type': 'application/json', accept: 'application/json' };

describe('claim', () => {
  test('passes on what is given, and answers with the claim and its URI', async () => {
    const body = `${SERVER}access ro\nlease 60\ntakeover true\n`;
    const { answer, call: seen } = await call('POST', CLAIM_URL, { body });
    expect(seen?.name).toBe('claims.claim');
    expect(seen?.args.slice(1)).toEqual([
      DRIVE,
      { serverId: OTHER, access: 'ro', leaseSeconds: 60, takeover: true },
    ]);
    expect([answer.status, answer.text]).toEqual([
      200,
      `drive ${DRIVE}\nserver ${OTHER}\naccess rw\nepoch 7\nattach:tcp nbd://127.0.0.1:10809/secret\n`,
    ]);
  });

  test('takes JSON, and gives every value as a string in it', async () => {
    const body = JSON.stringify({ server: OTHER, lease: 5, takeover: false });
    const { answer, call: seen } = await call('POST', CLAIM_URL, { body, headers: JSON_HEADERS });
    expect(seen?.args[2]).toMatchObject({ serverId: OTHER, leaseSeconds: 5, takeover: false });
    expect(JSON.parse(answer.text)).toMatchObject({ drive: DRIVE, epoch: '7' });
  });

  test('needs nothing but a server', async () => {
    const { answer, call: seen } = await call('POST', CLAIM_URL, { body: SERVER });
    expect(answer.status).toBe(200);
    expect(seen?.args[2]).toEqual({ serverId: OTHER });
  });

  test.each([
    ['', 'server is required'],
    ['server web-1\n', 'web-1'],
    [`server ${OTHER.toUpperCase()}\n`, 'lower case'],
    [`server ${OTHER} ${OWNER}\n`, 'UUID'],
    [`${SERVER}access write\n`, 'rw, ro'],
    [`${SERVER}lease 0\n`, 'from 1 to 86400'],
    [`${SERVER}lease 86401\n`, 'from 1 to 86400'],
    [`${SERVER}lease 1.5\n`, 'whole number'],
    [`${SERVER}lease\n`, 'whole number'],
    [`${SERVER}lease 1m\n`, 'whole number'],
    [`${SERVER}lease ${'9'.repeat(20)}\n`, 'is too large: the largest is 86400.'],
    [`${SERVER}takeover yes\n`, 'takeover'],
    [`${SERVER}epoch 3\n`, 'server, lease, access, protocol, takeover'],
  ])('with %j is 400 and says %s', async (body, words) => {
    const { answer, call: seen } = await call('POST', CLAIM_URL, { body });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining(words)]);
    expect(seen).toBeUndefined();
  });

  test('that another server stands in the way of is 409 with the service’s own sentence', async () => {
    const busy = async (): Promise<never> => {
      throw new DriveError('busy', 'Drive 7 is held by server 8.');
    };
    await using harness = await httpHarness({ service: fakeService({ claims: { claim: busy } }).service });
    const answer = await request(harness, 'POST', CLAIM_URL, { body: SERVER });
    expect([answer.status, answer.headers['x-elastic-error'], answer.text]).toEqual([
      409,
      'busy',
      'Drive 7 is held by server 8.\n',
    ]);
  });

  test('is no GET, and neither are release and renew', async () => {
    for (const path of ['claim', 'release', 'claim/renew']) {
      const { answer, call: seen } = await call('GET', `/drives/${DRIVE}/${path}`);
      expect([answer.status, answer.headers['allow']]).toEqual([405, 'POST']);
      expect(seen).toBeUndefined();
    }
  });
});

describe('renew and release', () => {
  test('renew passes on server, epoch and lease', async () => {
    const { answer, call: seen } = await call('POST', `${CLAIM_URL}/renew`, {
      body: `${SERVER}epoch 7\nlease 9\n`,
    });
    expect(answer.status).toBe(200);
    expect([seen?.name, ...(seen?.args.slice(1) ?? [])]).toEqual([
      'claims.renew',
      DRIVE,
      { serverId: OTHER, epoch: 7, leaseSeconds: 9 },
    ]);
  });

  test.each([
    ['epoch 1\n', 'server is required'],
    [SERVER, 'epoch is required'],
    [`${SERVER}epoch 0\n`, 'epoch'],
    [`${SERVER}epoch -1\n`, 'epoch'],
    [`${SERVER}epoch 1\naccess ro\n`, 'access'],
  ])('renew with %j is 400 and says %s', async (body, words) => {
    const { answer, call: seen } = await call('POST', `${CLAIM_URL}/renew`, { body });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining(words)]);
    expect(seen).toBeUndefined();
  });

  test('release names the server and answers 204', async () => {
    const { answer, call: seen } = await call('POST', `/drives/${DRIVE}/release`, { body: SERVER });
    expect([answer.status, answer.text]).toEqual([204, '']);
    expect([seen?.name, ...(seen?.args.slice(1) ?? [])]).toEqual([
      'claims.release',
      DRIVE,
      { serverId: OTHER },
    ]);
    expect((await call('POST', `/drives/${DRIVE}/release`)).answer.status).toBe(400);
  });
});

describe('claims', () => {
  test('are listed as objects, in text and JSON, with GET and POST', async () => {
    for (const method of ['GET', 'POST']) {
      const text = (await call(method, `/drives/${DRIVE}/claims`)).answer;
      expect(text.text).toContain(`epoch 7\n\ndrive ${DRIVE}\nserver ${OWNER}\n`);
      const { answer } = await call(method, `/drives/${DRIVE}/claims`, { headers: JSON_HEADERS });
      expect(JSON.parse(answer.text)).toMatchObject([{ server: OTHER }, { server: OWNER, epoch: '8' }]);
    }
  });

  test('that there are none of are an empty body, and an empty array', async () => {
    const { service } = fakeService({ claims: { list: async () => [] } });
    await using harness = await httpHarness({ service });
    const ask = async (headers: Record<string, string>) =>
      (await request(harness, 'GET', `/drives/${DRIVE}/claims`, { headers })).text;
    expect([await ask({}), await ask({ accept: 'application/json' })]).toEqual(['', '[]']);
  });

  test('of what is no UUID are those of a drive that could not be found', async () => {
    for (const path of ['claims', 'claim', 'release', 'claim/renew']) {
      const { answer } = await call('POST', `/drives/web/${path}`, { body: path === 'claims' ? '' : SERVER });
      expect([answer.status, answer.text]).toEqual([404, expect.stringContaining('could not be found')]);
    }
  });
});

describe('limits of a drive', () => {
  const limitsUrl = `/admin/drives/${DRIVE}/limits`;

  test('are passed on; an empty one is removed and an absent one left', async () => {
    const body = 'iops 500\nbytes 10M\nbytes:burst\n';
    const { answer, call: seen } = await call('POST', limitsUrl, { body, user: ADMIN });
    expect(answer.status).toBe(200);
    expect(seen?.name).toBe('administration.setDriveLimits');
    expect(seen?.args.slice(1)).toEqual([
      DRIVE,
      { iops: 500, iopsBurst: undefined, bytesPerSecond: 10 * 2 ** 20, burstBytes: null },
    ]);
  });

  test.each(['iops many', 'iops 1k', 'bytes fast', 'bytes -1', 'iops:burst 1.5', 'speed 1'])(
    '"%s" is 400',
    async (line) => {
      expect((await call('POST', limitsUrl, { body: line, user: ADMIN })).answer.status).toBe(400);
    },
  );

  test('are for administrators: nobody else may know of the command', async () => {
    const { answer, call: seen } = await call('POST', limitsUrl, { body: 'iops 5\n' });
    expect(answer.status).toBe(404);
    expect(seen).toBeUndefined();
  });
});

test('drive info is shown with every key that a claim adds, flat in text and JSON', async () => {
  const info = { drive: DRIVE, size: 5, claimed: `${OTHER} ${OWNER}`, 'claim:epochs': '1 2' };
  const { service } = fakeService({ drives: { infos: () => pagesOf([info]), info: async () => info } });
  await using harness = await httpHarness({ service });
  const text = await request(harness, 'GET', `/drives/${DRIVE}/info/full`);
  expect(text.text).toBe(`drive ${DRIVE}\nsize 5\nclaimed ${OTHER} ${OWNER}\nclaim:epochs 1 2\n`);
  const json = await request(harness, 'GET', `/drives/${DRIVE}/info/full`, { headers: JSON_HEADERS });
  expect(JSON.parse(json.text)).toEqual(info);
});
