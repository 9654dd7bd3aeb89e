import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, DriveClient } from '../helpers/drive-client.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { ADMIN_AUTH, ADMIN_USER, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { rawSocket, requestHead } from './raw-socket.ts';

const EVERYBODY = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

interface User extends DriveClient {
  readonly user: string;
  readonly key: string;
}

let server: ServerProcess;
let owner: User;
let reader: User;
let stranger: User;

async function createUser(pairs = ''): Promise<User> {
  const { user = '', key = '' } = (await server.json('/admin/users/create', pairs)) as Record<string, string>;
  return { ...server.as(`${user}:${key}`), user, key };
}

beforeAll(async () => {
  server = await startServer();
  owner = await createUser('name owner');
  reader = await createUser();
  stranger = await createUser();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** What an answer tells, without what differs from one to the next anyway. */
function told({ status, headers, text }: Answer, drive: string): unknown {
  const { date: _date, 'x-request-id': _id, ...others } = headers;
  return { status, others, text: text.replaceAll(drive, 'DRIVE') };
}

const EVERY_DRIVE_COMMAND: readonly (readonly [string, string, string])[] = [
  ['GET', 'info', ''],
  ['GET', 'info/full', ''],
  ['POST', 'info', ''],
  ['GET', 'read/0/16', ''],
  ['POST', 'read/0/16', ''],
  ['GET', 'read/100T/1', ''],
  ['GET', 'map', ''],
  ['POST', 'set', 'name mine'],
  ['POST', 'set', 'size 1G'],
  ['POST', 'write', 'data'],
  ['POST', 'write/100T', 'data'],
  ['POST', 'image/OTHER', ''],
  ['POST', 'image/OTHER/gunzip', ''],
  ['POST', 'destroy', ''],
  ['POST', 'claim', 'server 0000000a-0000-4000-8000-000000000000'],
  ['POST', 'claim', 'server 0000000a-0000-4000-8000-000000000000\naccess ro\ntakeover true'],
  ['POST', 'claim/renew', 'server 0000000a-0000-4000-8000-000000000000\nepoch 1'],
  ['POST', 'release', 'server 0000000a-0000-4000-8000-000000000000'],
  ['GET', 'claims', ''],
];

describe('a drive of somebody else', () => {
  test.each(EVERY_DRIVE_COMMAND)(
    '%s %s answers as for a drive that does not exist',
    async (method, command, body) => {
      const drive = await owner.create('size 1M\nname secret');
      const other = await stranger.create('size 1k');
      for (const client of [stranger, server]) {
        const [real, none] = await Promise.all(
          [drive, randomUUID()].map(async (uuid) => {
            const path = `/drives/${uuid}/${command.replace('OTHER', other)}`;
            return told(await client.send({ method, path, ...(method === 'GET' ? {} : { body }) }), uuid);
          }),
        );
        expect(real).toEqual(none);
        expect(real).toMatchObject({ status: 404, text: expect.stringContaining('could not be found') });
      }
      expect(await owner.info(drive)).toMatchObject({ name: 'secret', size: 1048576 });
    },
  );

  test('cannot be imaged from, nor avoided, and is in no list', async () => {
    const drive = await owner.create('size 1k\ntags listed');
    const mine = await stranger.create('size 1M');
    const image = await stranger.post(`/drives/${mine}/image/${drive}`);
    const none = randomUUID();
    expect(told(image, drive)).toEqual(told(await stranger.post(`/drives/${mine}/image/${none}`), none));
    expect(image.status).toBe(404);
    const avoid = await stranger.post('/drives/create', `size 1\navoid ${drive}`);
    const avoidNone = await stranger.post('/drives/create', `size 1\navoid ${none}`);
    expect(told(avoid, drive)).toEqual(told(avoidNone, none));
    expect(avoid.status).toBeGreaterThanOrEqual(400);
    for (const list of ['list', 'info', 'info/full', 'list/standard', 'info/standard', 'list?tag=listed']) {
      expect((await stranger.get(`/drives/${list}`)).text).not.toContain(drive);
    }
  });
});

describe('a reader', () => {
  test('sees info without what is the owner’s alone, reads, and images from the drive', async () => {
    const pairs = `size 5000\nname shared\ntags t\nuser:note private\nreaders ${reader.user} ${randomUUID()}`;
    const drive = await owner.create(pairs);
    await owner.write(drive, noise('shared', 5000));
    const seen = await reader.info(drive);
    const { tags: _tags, readers: _readers, 'user:note': _note, ...others } = await owner.info(drive);
    expect(seen).toEqual(others);
    expect((await reader.read(drive, 0, 5000)).equals(noise('shared', 5000))).toBe(true);
    const copy = await reader.create('size 5000');
    expect((await reader.post(`/drives/${copy}/image/${drive}`)).status).toBe(204);
    await expect.poll(async () => Object.keys(await reader.info(copy))).not.toContain('imaging');
    expect((await reader.read(copy, 0, 5000)).equals(noise('shared', 5000))).toBe(true);
    expect((await reader.get('/drives/list')).text).toBe(`${copy}\n`);
  });

  test('cannot change the drive: the same 404 as for no drive', async () => {
    const drive = await owner.create(`size 5000\nreaders ${reader.user}`);
    const mine = await reader.create('size 10k');
    for (const [method, command, body] of EVERY_DRIVE_COMMAND.slice(7)) {
      const none = randomUUID();
      const [real, missing] = await Promise.all(
        [drive, none].map(async (uuid) =>
          told(
            await reader.send({ method, path: `/drives/${uuid}/${command.replace('OTHER', mine)}`, body }),
            uuid,
          ),
        ),
      );
      expect(real).toEqual(missing);
      expect(real).toMatchObject({ status: 404 });
    }
  });

  test('that is removed knows of the drive no more', async () => {
    const drive = await owner.create(`size 5000\nreaders ${reader.user}`);
    expect((await reader.get(`/drives/${drive}/info`)).status).toBe(200);
    await owner.json(`/drives/${drive}/set`, 'readers');
    expect((await reader.get(`/drives/${drive}/info`)).status).toBe(404);
    expect((await reader.get(`/drives/${drive}/read/0/1`)).status).toBe(404);
  });

  test('of a standard drive is everybody, and it is in everybody’s standard lists', async () => {
    const drive = await owner.create(`size 5000\nname std\nuser:x y\nreaders ${EVERYBODY}`);
    for (const client of [owner, reader, stranger, server]) {
      expect((await client.get('/drives/list/standard')).text.split('\n')).toContain(drive);
      expect((await client.get(`/drives/${drive}/read/0/1`)).status).toBe(200);
    }
    expect((await stranger.get('/drives/info/standard')).text).toMatch(/^name std$/m);
    expect((await stranger.get('/drives/info/standard')).text).not.toMatch(/^(user:|readers)/m);
    expect((await stranger.get('/drives/list')).text).not.toContain(drive);
    expect((await stranger.post(`/drives/${drive}/destroy`)).status).toBe(404);
  });
});

describe('an administrator', () => {
  test('lists, shows, renames and disables users; a disabled one is a stranger to the door', async () => {
    const user = await createUser('name ann\nquota:drives 3');
    expect((await server.get('/admin/users/list')).text.split('\n')).toContain(user.user);
    const path = `/admin/users/${user.user}`;
    expect(await server.json(`${path}/info`)).toMatchObject({
      user: user.user,
      name: 'ann',
      'quota:drives': '3',
    });
    expect((await server.get('/admin/users/info')).text).not.toContain(user.key);
    await server.json(`${path}/set`, 'disabled true');
    expect((await user.get('/drives/list')).status).toBe(401);
    await server.json(`${path}/set`, 'disabled false\nname bea');
    expect((await user.get('/drives/list')).status).toBe(200);
    expect(await server.json(`${path}/info`)).toMatchObject({ name: 'bea' });
  });

  test('rotates a key: the new one opens, the old one does not', async () => {
    const user = await createUser();
    const path = `/admin/users/${user.user}/key/rotate`;
    const { key } = (await server.json(path, '')) as { key: string };
    expect(key).toMatch(/^[A-Za-z0-9]{16,}$/);
    expect(user.key).toMatch(/^[A-Za-z0-9]{16,}$/);
    expect((await user.get('/drives/list')).status).toBe(401);
    expect((await server.as(`${user.user}:${key}`).get('/drives/list')).status).toBe(200);
  });

  test('sees every drive through the administration commands only', async () => {
    const drive = await owner.create('size 1M\nname far');
    expect((await server.get('/admin/drives/info')).text).toContain(drive);
    expect(await server.json(`/admin/drives/${drive}/info`)).toMatchObject({ name: 'far', user: owner.user });
    expect((await server.get(`/drives/${drive}/info`)).status).toBe(404);
    expect((await server.get('/drives/list')).text).not.toContain(drive);
  });

  test('is the only one for whom the administration commands exist', async () => {
    const drive = await owner.create('size 1M');
    for (const [method, path] of [
      ['POST', 'users/create'],
      ['GET', 'users/list'],
      ['GET', 'users/info'],
      ['GET', `users/${owner.user}/info`],
      ['POST', `users/${owner.user}/set`],
      ['POST', `users/${owner.user}/key/rotate`],
      ['POST', `users/${ADMIN_USER}/key/rotate`],
      ['GET', 'pools/info'],
      ['GET', 'nodes'],
      ['GET', 'drives/info'],
      ['GET', `drives/${drive}/info`],
      ['POST', `drives/${drive}/key/export`],
      ['POST', 'master-key/rotate'],
      ['DELETE', 'master-key/rotate'],
    ] as const) {
      const answer = await owner.send({ method, path: `/admin/${path}` });
      const none = await owner.send({ method, path: `/admin/${path}x` });
      expect(told({ ...answer, text: '' }, '')).toMatchObject({ status: 404 });
      expect(answer.text.replace(path, '')).toBe(none.text.replace(`${path}x`, ''));
    }
    expect((await server.as(ADMIN_AUTH).get('/drives/list')).status).toBe(200);
  });
});

describe('quotas', () => {
  test('a drive more, or a byte more, than the quota is 507 and makes nothing', async () => {
    const user = await createUser('quota:drives 2\nquota:bytes 10k');
    const first = await user.create('size 4k');
    expect(await user.post('/drives/create', 'size 7k')).toMatchObject({ status: 507 });
    const second = await user.create('size 6k');
    for (const [path, body] of [
      ['create', 'size 1'],
      [`${first}/set`, 'size 4097'],
    ] as const) {
      const answer = await user.post(`/drives/${path}`, body);
      expect([answer.status, answer.headers['x-elastic-error']?.toString().split(' ')[0]]).toEqual([
        507,
        'full',
      ]);
    }
    expect((await user.get('/drives/list')).text).toBe([first, second].toSorted().join('\n') + '\n');
    expect(await user.info(first)).toMatchObject({ size: 4096 });
    await user.json(`/drives/${second}/set`, 'size 1k');
    await user.json(`/drives/${first}/set`, 'size 9k');
    await user.post(`/drives/${second}/destroy`);
    await user.create('size 1k');
  });

  test('many creates at the same time do not slip past the quota', async () => {
    const user = await createUser('quota:drives 3\nquota:bytes 1M');
    const answers = await Promise.all(
      Array.from({ length: 12 }, async () => user.post('/drives/create', 'size 10k')),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
    expect(answers.filter(({ status }) => status === 507)).toHaveLength(9);
    expect((await user.get('/drives/list')).text.trim().split('\n')).toHaveLength(3);
  });
});

test('no, half, wrong and unknown credentials are all a 401, before any path is looked at', async () => {
  const none = `/drives/${randomUUID()}/info`;
  for (const [auth, path] of [
    [null, '/drives/list'],
    [null, '/nope'],
    [null, none],
    ['', '/admin/users/list'],
    [':', '/drives/list'],
    [owner.user, '/drives/list'],
    [`${owner.user}:`, '/nope'],
  ] as const) {
    const answer = await server.as(auth).get(path);
    expect([answer.status, answer.headers['x-elastic-error']]).toEqual([401, 'auth']);
    expect(answer.headers['www-authenticate']).toMatch(/^Basic/);
  }
});

test('a wrong key and an unknown user are answered alike', async () => {
  const [wrong, unknown] = await Promise.all(
    [`${owner.user}:wrong`, `${randomUUID()}:${owner.key}`].map(async (auth) => server.as(auth).get('/nope')),
  );
  expect(told(wrong as Answer, '')).toEqual(told(unknown as Answer, ''));
  expect(wrong).toMatchObject({ status: 401 });
});

test('a right key opens while wrong ones are tried', async () => {
  const user = await createUser();
  const head = requestHead(`${user.user}:wrong`, 'GET /drives/list');
  const wrong = await Promise.all(Array.from({ length: 60 }, async () => rawSocket(server.port, head)));
  try {
    for (let time = 0; time < 30; time += 1) {
      expect(await user.get('/drives/list')).toMatchObject({ status: 200 });
    }
  } finally {
    for (const raw of wrong) raw[Symbol.dispose]();
  }
});
