import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ADMIN_USER, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

let server: ServerProcess;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

describe('create', () => {
  test('size alone makes a drive, and every key that has a default is shown', async () => {
    const answer = await server.post('/drives/create', 'size 12345\n');
    expect(answer.status).toBe(200);
    expect(answer.headers['x-elastic-output']).toBe('properties');
    const drive = /^drive (.*)$/m.exec(answer.text)?.[1];
    expect(drive).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(answer.text.split('\n').toSorted().join('\n').trim()).toBe(
      [
        'claim:type exclusive',
        `drive ${drive}`,
        'encryption:cipher aes-xts-plain',
        'read:bytes 0',
        'read:requests 0',
        'size 12345',
        'status active',
        'tier disk',
        `user ${ADMIN_USER}`,
        'write:bytes 0',
        'write:requests 0',
      ].join('\n'),
    );
  });

  test('every key that is given comes back as it was given', async () => {
    const reader = randomUUID();
    const given = {
      name: 'the  name \u{1F4BE}',
      size: '64k',
      'claim:type': 'shared',
      readers: [reader],
      tags: ['b', 'a'],
      'user:k': 'v w',
      'encryption:cipher': 'none',
      tier: 'disk',
    };
    const answer = await server.send({
      method: 'POST',
      path: '/drives/create',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(given),
    });
    expect(JSON.parse(answer.text)).toMatchObject({ ...given, size: 65536, readers: reader, tags: 'b a' });
  });

  test('an unknown key is refused by its name, beside the names that are known', async () => {
    const answer = await server.post('/drives/create', 'size 1\ncolour red');
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('colour');
    for (const key of ['name', 'size', 'claim:type', 'readers', 'tags', 'user:*', 'avoid', 'tier']) {
      expect(answer.text).toContain(key);
    }
  });

  test.each([
    ['size 5\nreaders me', 'me'],
    ['size 5\nreaders 11111111-1111-4111-8111-11111111111', '11111111'],
    ['size 5\nclaim:type none', 'none'],
    ['size 5\nencryption:cipher rot13', 'rot13'],
    ['size 5\ntier tape', 'tape'],
    ['size 5\navoid x', 'x'],
    ['size 5\nuser: x', 'user:'],
    ['name only', 'size'],
    ['', 'size'],
    ['size 5\nsize 6', 'size'],
    ['size 5\nname a\u0000b', 'name'],
  ])('%j is refused with what was wrong, and no drive is made', async (body, word) => {
    const before = (await server.get('/drives/list')).text;
    const answer = await server.post('/drives/create', body);
    expect([answer.status, answer.headers['x-elastic-error']]).toEqual([400, 'usage']);
    expect(answer.text).toContain(word);
    expect((await server.get('/drives/list')).text).toBe(before);
  });

  test('a name of 10 kB is refused, and no drive is made', async () => {
    const before = (await server.get('/drives/list')).text;
    expect((await server.post('/drives/create', `size 5\nname ${'n'.repeat(10_000)}`)).status).toBe(400);
    expect((await server.get('/drives/list')).text).toBe(before);
  });

  test('avoiding a drive that does not exist is refused by its UUID', async () => {
    const nobody = randomUUID();
    const answer = await server.post('/drives/create', `size 1\navoid ${nobody}`);
    expect([400, 404]).toContain(answer.status);
    expect(answer.text).toContain(nobody);
  });
});

describe('idempotent create', () => {
  const create = async (key: string, body: string) =>
    server.send({ method: 'POST', path: '/drives/create', headers: { 'idempotency-key': key }, body });

  test('the same key with the same body gives the same drive, also at the same time', async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(() => create('at-once', 'size 1M\nname i')));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map(({ text }) => /^drive .*$/m.exec(text)?.[0])).size).toBe(1);
    expect((await server.get('/drives/info')).text.match(/^name i$/gm)).toHaveLength(1);
  });

  test('the same key with another body is refused and makes nothing', async () => {
    expect((await create('twice', 'size 1M')).status).toBe(200);
    const before = (await server.get('/drives/list')).text;
    expect((await create('twice', 'size 2M')).status).toBe(400);
    expect((await server.get('/drives/list')).text).toBe(before);
  });

  test('a key of more than 64 characters is refused', async () => {
    expect((await create('k'.repeat(64), 'size 1')).status).toBe(200);
    expect((await create('k'.repeat(65), 'size 1')).status).toBe(400);
  });

  test('a refused create does not spend its key', async () => {
    expect((await create('again', 'size none')).status).toBe(400);
    expect((await create('again', 'size 1k')).status).toBe(200);
  });
});

describe('set', () => {
  test('only the keys given change', async () => {
    const drive = await server.create('name before\nsize 10\ntags a b\nuser:x 1\nuser:y 2');
    const before = await server.info(drive);
    expect((await server.post(`/drives/${drive}/set`, 'name after')).status).toBe(200);
    expect(await server.info(drive)).toEqual({ ...before, name: 'after' });
    await server.post(`/drives/${drive}/set`, 'user:x 3\ntier ssd\nclaim:type shared');
    expect(await server.info(drive)).toEqual({
      ...before,
      name: 'after',
      'user:x': '3',
      'claim:type': 'shared',
      tier: 'ssd',
    });
  });

  test('readers, tags and user:* given empty are removed', async () => {
    const drive = await server.create(`size 10\ntags a b\nuser:x 1\nuser:y 2\nreaders ${randomUUID()}`);
    const answer = await server.post(`/drives/${drive}/set`, 'tags \nreaders\nuser:x \n');
    expect(answer.status).toBe(200);
    const info = await server.info(drive);
    expect(Object.keys(info).filter((key) => /^(tags|readers|user:.*)$/.test(key))).toEqual(['user:y']);
  });

  test('size 0 is unchanged, and so is an empty set', async () => {
    const drive = await server.create('size 4567');
    for (const body of ['size 0', '', 'size 0\nname n']) {
      expect((await server.post(`/drives/${drive}/set`, body)).status).toBe(200);
      expect(await server.info(drive)).toMatchObject({ size: 4567 });
    }
  });

  test.each(['encryption:cipher none', 'avoid 11111111-1111-4111-8111-111111111111', 'drive x', 'size -1'])(
    '%j is refused, and the other keys of the same body do not change either',
    async (line) => {
      const drive = await server.create('size 4567\nname before');
      const before = await server.info(drive);
      expect((await server.post(`/drives/${drive}/set`, `name after\n${line}`)).status).toBe(400);
      expect(await server.info(drive)).toEqual(before);
    },
  );

  test.each(['aes-xts-plain', 'none'])(
    'what was cut off by a shrink reads as zeros after growing again (%s)',
    async (cipher) => {
      const drive = await server.create(`size 3M\nencryption:cipher ${cipher}`);
      const data = Buffer.alloc(3 * 1024 * 1024, 0xaa);
      expect((await server.write(drive, data)).status).toBe(204);
      const cutBytes = 1_000_001;
      await server.json(`/drives/${drive}/set`, `size ${cutBytes}`);
      expect((await server.get(`/drives/${drive}/read/${cutBytes - 1}/2`)).status).toBe(400);
      for (const size of ['1000100', '2M', '5M']) await server.json(`/drives/${drive}/set`, `size ${size}`);
      const bytes = await server.read(drive, 0, 5 * 1024 * 1024);
      expect(bytes.subarray(0, cutBytes).equals(data.subarray(0, cutBytes))).toBe(true);
      expect(bytes.subarray(cutBytes).every((byte) => byte === 0)).toBe(true);
    },
  );
});

test('a destroyed drive is gone from every answer, and a second destroy is a 404', async () => {
  const drive = await server.create('size 1M\ntags gone');
  expect(await server.post(`/drives/${drive}/destroy`)).toMatchObject({ status: 204, text: '' });
  for (const path of ['list', 'info', 'info/full', 'list?tag=gone', 'info?tag=gone']) {
    expect((await server.get(`/drives/${path}`)).text).not.toContain(drive);
  }
  for (const path of ['info', 'info/full', 'read/0/1']) {
    expect((await server.get(`/drives/${drive}/${path}`)).status).toBe(404);
  }
  for (const path of ['destroy', 'set', 'write', `image/${await server.create('size 1')}`]) {
    expect((await server.post(`/drives/${drive}/${path}`)).status).toBe(404);
  }
});

test('two destroys at the same time: one is done, the other is refused', async () => {
  const drive = await server.create('size 1M');
  const answers = await Promise.all([1, 2].map(async () => server.post(`/drives/${drive}/destroy`)));
  const statuses = answers.map(({ status }) => status).toSorted();
  expect(statuses[0]).toBe(204);
  expect([404, 409]).toContain(statuses[1]);
});

test('pages of a list and of info add up to the whole, filtered by tag or not', async () => {
  const made: string[] = [];
  for (let index = 0; index < 7; index += 1) made.push(await server.create('size 1\ntags page other'));
  const all = ((await server.json('/drives/list')) as { drive: string }[]).map(({ drive }) => drive);
  expect(all).toEqual(all.toSorted());
  for (const [command, query, expected] of [
    ['list', '', all],
    ['info', '&tag=page', made.toSorted()],
  ] as const) {
    const seen: string[] = [];
    for (let after = ''; ; after = `&after=${seen.at(-1)}`) {
      const page = (await server.json(`/drives/${command}?limit=3${after}${query}`)) as { drive: string }[];
      expect(page.length).toBeLessThanOrEqual(3);
      if (page.length === 0) break;
      seen.push(...page.map(({ drive }) => drive));
    }
    expect(seen).toEqual(expected);
  }
  expect((await server.get('/drives/list?tag=pag')).text).toBe('');
});

test.each(['limit=0', 'limit=-1', 'limit=x', 'limit=', 'after=x', 'limits=1', 'limit=1&limit=2'])(
  'a list with ?%s is refused',
  async (query) => {
    expect((await server.get(`/drives/list?${query}`)).status).toBe(400);
  },
);
