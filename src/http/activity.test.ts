import { expect, test } from 'vitest';
import { ADMIN, DRIVE, fakeService, OTHER, OWNER } from '../../test/helpers/fake-service.ts';
import { httpHarness, request } from '../../test/helpers/http-harness.ts';

async function ask(url: string, { method = 'GET', user = OWNER, accept = 'text/plain' } = {}) {
  const { service, calls } = fakeService();
  await using harness = await httpHarness({ service });
  const answer = await request(harness, method, url, { user, headers: { accept } });
  return { ...answer, names: calls.map(({ name }) => name).filter((name) => name !== 'access.authenticate') };
}

test('activity is the info of the drives in use, in text and in JSON', async () => {
  const text = await ask('/drives/activity');
  expect(text).toMatchObject({ status: 200, names: ['drives.activity'] });
  expect(text.text).toMatch(
    new RegExp(`^drive ${DRIVE}\nconnections 2\nread:requests 3\nread:us 1500\n\ndrive ${OTHER}\n`),
  );
  const json = await ask('/drives/activity', { accept: 'application/json', method: 'POST' });
  expect(JSON.parse(json.text)).toMatchObject([{ drive: DRIVE, 'read:requests': '3' }, { drive: OTHER }]);
});

test("activity of every user's drives is for administrators, and no command for anybody else", async () => {
  const seen = await ask('/admin/drives/activity', { user: ADMIN });
  expect(seen).toMatchObject({ status: 200, names: ['administration.activity'] });
  expect(seen.text).toContain(`\nuser ${OTHER}\n`);
  expect(await ask('/admin/drives/activity')).toMatchObject({ status: 404, names: [] });
});

test.each(['info', 'read/0/1', 'map', 'claims', 'activity'])(
  'activity is never taken for a drive: /drives/activity/%s is none',
  async (command) => {
    expect(await ask(`/drives/activity/${command}`)).toMatchObject({ status: 404, names: [] });
  },
);

test('a drive is never taken for activity', async () => {
  expect(await ask(`/drives/${DRIVE}/activity`)).toMatchObject({ status: 404, names: [] });
  expect(await ask(`/drives/${DRIVE}`)).toMatchObject({ status: 404, names: [] });
});
