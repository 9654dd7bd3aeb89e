import { once } from 'node:events';
import { expect, test } from 'vitest';
import { ADMIN, DRIVE, fakeService, OTHER, OWNER } from '../../test/helpers/fake-service.ts';
import {
  basicAuth,
  head,
  httpHarness,
  listeningHarness,
  rawClient,
  request,
} from '../../test/helpers/http-harness.ts';

/** What the service was asked by this request, and the answer. */
async function asAdmin(method: string, url: string, body?: string) {
  const { service, calls } = fakeService();
  await using harness = await httpHarness({ service });
  const answer = await request(harness, method, url, {
    user: ADMIN,
    ...(body === undefined ? {} : { body }),
  });
  return { answer, call: calls.find((call) => call.name !== 'access.authenticate') };
}

test('users create passes on what is given and answers with the key', async () => {
  const body = 'name ann\nadmin true\nquota:drives 3\nquota:bytes 1T\n';
  const { answer, call } = await asAdmin('POST', '/admin/users/create', body);
  expect(call?.args[1]).toEqual({ name: 'ann', isAdmin: true, quotaDrives: 3, quotaBytes: 2 ** 40 });
  expect(answer.text).toContain('\nkey NewKey\n');
});

test('users create takes an empty body', async () => {
  expect((await asAdmin('POST', '/admin/users/create')).answer.status).toBe(200);
});

test('users set removes a name and a quota that are given empty, and leaves what is absent', async () => {
  const { call } = await asAdmin('POST', `/admin/users/${OTHER}/set`, 'name\nquota:bytes\ndisabled true\n');
  expect(call?.args.slice(1)).toEqual([
    OTHER,
    { name: null, isAdmin: undefined, isDisabled: true, quotaDrives: undefined, quotaBytes: null },
  ]);
});

test.each(['admin yes', 'disabled 1', 'quota:drives -1', 'quota:drives 1k', 'quota:bytes much', 'key mine'])(
  'users set with "%s" is 400',
  async (line) => {
    expect((await asAdmin('POST', `/admin/users/${OTHER}/set`, line)).answer.status).toBe(400);
  },
);

test('users list is a list of UUIDs and users info of objects', async () => {
  expect((await asAdmin('GET', '/admin/users/list')).answer.text).toBe(`${OWNER}\n${ADMIN}\n`);
  expect((await asAdmin('GET', '/admin/users/info')).answer.text).toContain('\nquota:drives 3\n\nuser ');
});

test('key rotate, info of a user, of pools, of any drive and of all drives reach the service', async () => {
  const named = async (method: string, url: string): Promise<unknown> =>
    (await asAdmin(method, url)).call?.name;
  expect(await named('POST', `/admin/users/${OTHER}/key/rotate`)).toBe('administration.rotateUserKey');
  expect(await named('GET', `/admin/users/${OTHER}/info`)).toBe('administration.userInfo');
  expect(await named('GET', '/admin/pools/info')).toBe('administration.poolInfos');
  expect(await named('GET', `/admin/drives/${DRIVE}/info`)).toBe('administration.driveInfo');
  expect(await named('GET', '/admin/drives/activity')).toBe('administration.activity');
  expect(await named('POST', '/admin/master-key/rotate')).toBe('masterKeys.rotate');
  const { call } = await asAdmin('GET', `/admin/drives/info?limit=5&after=${OTHER}`);
  expect(call).toMatchObject({ name: 'administration.driveInfos', args: [{}, { limit: 5, after: OTHER }] });
});

test('key export fills the holes unless told not to', async () => {
  const filled = await asAdmin('POST', `/admin/drives/${DRIVE}/key/export`);
  const signal = expect.any(AbortSignal) as AbortSignal;
  expect(filled.call?.args.slice(1)).toEqual([DRIVE, { fillHoles: true, signal }]);
  const unfilled = await asAdmin('POST', `/admin/drives/${DRIVE}/key/export`, 'fill false\n');
  expect(unfilled.call?.args.slice(1)).toEqual([DRIVE, { fillHoles: false, signal }]);
});

/** An export of a key that goes on until it is told to stop, and what it was told. */
function endlessExport() {
  const { promise: started, resolve: start } = Promise.withResolvers<void>();
  const { promise: stopped, resolve: stop } = Promise.withResolvers<unknown>();
  const exportKey = async (_actor: unknown, _drive: string, { signal }: { signal: AbortSignal }) => {
    start();
    await once(signal, 'abort');
    stop(signal.reason);
    throw signal.reason;
  };
  return { started, stopped, service: fakeService({ masterKeys: { exportKey } }).service };
}

const EXPORT = head(`POST /admin/drives/${DRIVE}/key/export`, { Authorization: basicAuth(ADMIN) });

test('key export stops when its client goes away', async () => {
  const { started, stopped, service } = endlessExport();
  await using harness = await listeningHarness({ service });
  const client = rawClient(harness.address);
  client.send(EXPORT);
  await started;
  client.socket.resetAndDestroy();
  expect(await stopped).toMatchObject({ code: 'usage' });
});

test('key export stops when its client ends the connection, and says so to one that still listens', async () => {
  const { started, service } = endlessExport();
  await using harness = await listeningHarness({ service });
  using client = rawClient(harness.address);
  client.send(EXPORT);
  await started;
  client.socket.end();
  expect((await client.closed()).text).toMatch(/^HTTP\/1.1 400 [^]*ended the connection/);
});

test('key export that was answered is not told of the end of its connection', async () => {
  const { service, calls } = fakeService();
  await using harness = await listeningHarness({ service });
  using client = rawClient(harness.address);
  client.send(EXPORT + head('GET /drives/list'));
  await client.until(OTHER);
  client.socket.end();
  expect((await client.closed()).text).toContain('passphrase');
  const call = calls.find(({ name }) => name === 'masterKeys.exportKey');
  expect(call?.args[2]).toMatchObject({ signal: { aborted: false } });
});
