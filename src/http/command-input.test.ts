import { describe, expect, test } from 'vitest';
import { DRIVE, fakeService, OTHER } from '../../test/helpers/fake-service.ts';
import { httpHarness, request } from '../../test/helpers/http-harness.ts';
import type { InjectOptions } from '../../test/helpers/http-harness.ts';

describe('request bodies', () => {
  const create = async (options: InjectOptions) => {
    const { service, calls } = fakeService();
    await using harness = await httpHarness({ service });
    const answer = await request(harness, 'POST', '/drives/create', options);
    return { answer, input: calls.find((call) => call.name === 'drives.create')?.args[1] };
  };

  test.each([
    undefined,
    'text/plain',
    'application/octet-stream',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'not a media type at all;;;',
    'application/jsonx',
  ])('a body with Content-Type %s is KEY VALUE text, and never 415', async (type) => {
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
    const { answer, input } = await create({ headers, body: 'name my drive\nsize 1G\n' });
    expect(answer.status).toBe(200);
    expect(input).toMatchObject({ name: 'my drive', sizeBytes: 2 ** 30 });
  });

  test.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON;x=y'])(
    'a body with Content-Type %s is JSON',
    async (type) => {
      const body = JSON.stringify({ size: 4096, tags: ['a', 'b'], readers: OTHER, 'user:k': 'v' });
      const { input } = await create({ headers: { 'content-type': type }, body });
      expect(input).toMatchObject({
        sizeBytes: 4096,
        tags: ['a', 'b'],
        readers: [OTHER],
        attributes: { k: 'v' },
      });
    },
  );

  test.each(['application/json', 'text/plain', 'application/x-www-form-urlencoded'])(
    'an empty body with Content-Type %s is fine where no input is needed',
    async (type) => {
      await using harness = await httpHarness();
      const headers = { 'content-type': type };
      expect((await request(harness, 'POST', `/drives/${DRIVE}/destroy`, { headers })).status).toBe(204);
      expect((await request(harness, 'POST', '/drives/list', { headers, body: '' })).status).toBe(200);
    },
  );

  test('a command that takes nothing refuses a body with a key in it', async () => {
    await using harness = await httpHarness();
    const answer = await request(harness, 'POST', `/drives/${DRIVE}/destroy`, { body: 'force true\n' });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('force')]);
  });

  test('a body that is not UTF-8 is 400', async () => {
    const { answer } = await create({ body: Buffer.from([0x73, 0x20, 0xff, 0x0a]) });
    expect([answer.status, answer.text]).toEqual([400, 'The body is not valid UTF-8.\n']);
  });

  test.each([
    ['text/plain', 'size 1M\nsize 2M\n'],
    ['application/json', '{"size": 1, "size": 2}'],
    ['application/json', '{"size": 1, "\\u0073ize": 2}'],
  ])('a key given twice in %s is 400 and named', async (type, body) => {
    const { answer, input } = await create({ headers: { 'content-type': type }, body });
    expect([answer.status, answer.text]).toEqual([400, 'The key size is given more than once.\n']);
    expect(input).toBeUndefined();
  });

  test.each(['__proto__', 'constructor', 'hasOwnProperty', 'toString'])(
    'the key %s is a key like any other: unknown, or the owner’s own',
    async (key) => {
      for (const type of ['text/plain', 'application/json']) {
        const headers = { 'content-type': type };
        const write = (name: string): string =>
          type === 'text/plain' ? `size 1\n${name} x\n` : `{"size": 1, "${name}": "x"}`;
        const unknown = await create({ headers, body: write(key) });
        expect([unknown.answer.status, unknown.answer.text]).toEqual([400, expect.stringContaining(key)]);
        const owned = await create({ headers, body: write(`user:${key}`) });
        const { attributes } = owned.input as { attributes: Record<string, string> };
        expect(Object.entries(attributes)).toEqual([[key, 'x']]);
      }
    },
  );

  test('an unknown key is 400, names the key and lists the known ones', async () => {
    const { answer } = await create({ body: 'size 1\ncolour red\n' });
    expect(answer.status).toBe(400);
    expect(answer.text).toBe(
      'The key colour is not known: the known ones are name, size, claim:type, readers, tags, tier, avoid, encryption:cipher, user:*.\n',
    );
  });

  test.each([
    ['{"size": 1.5}', 'size'],
    ['{"size": -1}', 'size'],
    ['{"size": 9007199254740993}', 'size'],
    ['{"size": true}', 'size'],
    ['{"size": 1, "name": null}', 'name'],
    ['{"size": 1, "name": {"a": "b"}}', 'name'],
    ['{"size": 1, "name": 5}', 'name'],
    ['{"size": 1, "name": ["a"]}', 'name'],
    ['{"size": 1, "tags": [1]}', 'tags'],
    ['{"size": 1, "tags": ["two words"]}', 'tags'],
    ['{"size": 1, "name": "\\ud800"}', 'The value of name is not valid Unicode.'],
    ['{"size": 1, "tags": ["\\ud800"]}', 'The value of tags is not valid Unicode.'],
    ['{"size": ["1"]}', 'The value of size is a list; the key takes one value.'],
    ['{"size": 1, "claim:type": ["shared"]}', 'The value of claim:type is a list; the key takes one value.'],
    ['{"size": 1, "name": "a\\u0085"}', 'control character'],
    ['{"size": 1, "user:\\u009b": "a"}', 'control character'],
    ['[1]', 'object'],
    ['"size"', 'object'],
    ['{"size": ', 'JSON'],
  ])('the JSON body %s is 400 and the sentence says %s', async (body, word) => {
    const { answer } = await create({ headers: { 'content-type': 'application/json' }, body });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining(word)]);
  });

  test.each([
    '1.5G',
    '-1',
    '0x10',
    '1e9',
    '',
    '1 G',
    ' 1',
    '9007199254740993',
    '99999999999999999999',
    '8192T1',
  ])('the size "%s" is 400', async (size) => {
    const { answer } = await create({ body: `size ${size}\n` });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining(`"${size}"`)]);
  });

  test.each([
    ['text/plain', `size ${'9'.repeat(30)}`],
    ['text/plain', 'size 8192T'],
    ['application/json', '{"size": 9007199254740993}'],
  ])('as %s, %s is too large, and the largest drive is told', async (type, body) => {
    const { answer } = await create({ headers: { 'content-type': type }, body });
    expect([answer.status, answer.text]).toEqual([
      400,
      expect.stringContaining('is too large: the largest is 1125899906842624.'),
    ]);
  });

  test.each([
    ['512', 512],
    ['1k', 1024],
    ['1K', 1024],
    ['3m', 3 * 2 ** 20],
    ['2G', 2 ** 31],
    ['1t', 2 ** 40],
  ])('the size %s is %i bytes', async (size, sizeBytes) => {
    expect((await create({ body: `size ${size}` })).input).toMatchObject({ sizeBytes });
  });

  test.each([
    ['name', 'x'.repeat(10_000), '255'],
    ['name', 'é'.repeat(128), '255'],
    ['name', 'a\u0000b', 'control'],
    ['claim:type', 'mine', 'exclusive, shared'],
    ['claim:type', '', 'exclusive, shared'],
    ['tier', 'tape', 'disk, ssd'],
    ['encryption:cipher', 'rot13', 'aes-xts-plain, none'],
    ['readers', 'ann', 'UUID'],
    ['readers', 'AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA', 'lower case'],
    ['readers', `${OTHER} `.repeat(1025), '1024'],
    ['avoid', 'x', 'UUID'],
    ['tags', 'w '.repeat(129), '128'],
    ['tags', 'w'.repeat(256), '255'],
    ['user:', 'v', 'user:'],
    ['user:a', 'x'.repeat(16_385), '16384'],
    [`user:${'k'.repeat(256)}`, 'v', '255'],
  ])('%s of a kind that is not allowed is 400 and the sentence says what is', async (key, value, words) => {
    const { answer } = await create({ body: `size 1\n${key} ${value}\n` });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining(words)]);
  });

  test('more user: pairs than the limit are 400', async () => {
    const pairs = Array.from({ length: 129 }, (_, index) => `user:k${index} v\n`).join('');
    const { answer } = await create({ body: `size 1\n${pairs}` });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('128')]);
  });

  test('a body larger than 64 KiB is 413 with type usage', async () => {
    const { answer } = await create({ body: `name ${'x'.repeat(65_536)}` });
    expect([answer.status, answer.headers['x-elastic-error']]).toEqual([413, 'usage']);
  });

  test('a body with a Content-Encoding is 400 for every command but write', async () => {
    const { answer } = await create({ headers: { 'content-encoding': 'gzip' }, body: 'size 1\n' });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('gzip')]);
  });

  test('size is required to create, name is not', async () => {
    const { answer } = await create({ body: 'name x\n' });
    expect([answer.status, answer.text]).toEqual([400, 'The key size is required.\n']);
    expect((await create({ body: 'size 1\n' })).answer.status).toBe(200);
  });

  test('lines may end in CRLF, and blank lines are passed over', async () => {
    const { input } = await create({ body: '\r\nname a b\r\n\r\nsize 1k\r\n' });
    expect(input).toMatchObject({ name: 'a b', sizeBytes: 1024 });
  });
});

describe('set', () => {
  const set = async (body: string) => {
    const { service, calls } = fakeService();
    await using harness = await httpHarness({ service });
    const answer = await request(harness, 'POST', `/drives/${DRIVE}/set`, { body });
    return { answer, input: calls.find((call) => call.name === 'drives.set')?.args[2] };
  };

  test('only the keys given are passed on', async () => {
    const { input } = await set('name x\n');
    expect(JSON.parse(JSON.stringify(input))).toEqual({ name: 'x', attributes: {} });
  });

  test('readers, tags and user:* given empty are removed', async () => {
    const { input } = await set('readers\ntags \nuser:a\n');
    expect(input).toMatchObject({ readers: [], tags: [], attributes: { a: '' } });
  });

  test('size 0 is unchanged', async () => {
    expect((await set('size 0\n')).input).toMatchObject({ sizeBytes: undefined });
  });

  test.each(['encryption:cipher none', `avoid ${OTHER}`])('%s cannot be set', async (line) => {
    const { answer } = await set(line);
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('when it is created')]);
  });
});
