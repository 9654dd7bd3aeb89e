import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, DriveClient } from '../helpers/drive-client.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const [A, B] = [randomUUID(), randomUUID()];
let server: ServerProcess;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

type Claim = Readonly<Record<string, string>>;

async function claim(drive: string, pairs: string, client: DriveClient = server): Promise<Claim> {
  return (await client.json(`/drives/${drive}/claim`, pairs)) as Claim;
}

async function listed(drive: string, client: DriveClient = server): Promise<Claim[]> {
  return (await client.json(`/drives/${drive}/claims`)) as Claim[];
}

function refused({ status, headers }: Answer): string {
  return `${status} ${headers['x-elastic-error']}`;
}

/** The audit lines of a drive, in order, without what is the same in all of them. */
function audited(drive: string): string[] {
  return server
    .output()
    .split('\n')
    .filter((line) => line.includes('"audit":true') && line.includes(drive))
    .map((line) => {
      const event = JSON.parse(line) as Record<string, string>;
      return `${event['event']} ${event['server'] === A ? 'A' : 'B'} ${event['epoch']}`;
    });
}

describe('an exclusive drive', () => {
  test('goes from server to server, each with an epoch of its own, and the log tells the story', async () => {
    const drive = await server.create('size 1M');
    const first = await claim(drive, `server ${A}`);
    expect(first).toEqual({ drive, server: A, access: 'rw', epoch: '1' });
    const second = await server.post(`/drives/${drive}/claim`, `server ${B}`);
    expect([refused(second), second.text]).toEqual([
      '409 busy',
      expect.stringContaining(`held by server ${A} (no lease: it must be released)`),
    ]);
    expect(await claim(drive, `server ${B}\ntakeover true`)).toMatchObject({ server: B, epoch: '2' });
    expect((await server.info(drive))['claimed']).toBe(B);
    for (let times = 0; times < 2; times += 1) {
      expect((await server.post(`/drives/${drive}/release`, `server ${B}`)).status).toBe(204);
    }
    expect(await server.info(drive)).not.toHaveProperty('claimed');
    expect(await claim(drive, `server ${A}\naccess ro`)).toMatchObject({ epoch: '3', access: 'ro' });
    await expect
      .poll(() => audited(drive))
      .toEqual(['claim A 1', 'takeover B 2', 'release B 2', 'claim A 3']);
  });

  test('keeps its holder and its epoch over a restart', async () => {
    const dataDirectory = await scratchDirectory();
    const before = await startServer({ dataDirectory });
    const drive = await before.create('size 1M');
    await claim(drive, `server ${A}`, before);
    await before.stop('SIGKILL');
    await using after = await startServer({ dataDirectory });
    expect(await listed(drive, after)).toMatchObject([{ server: A, epoch: '1', connections: '0' }]);
    expect(refused(await after.post(`/drives/${drive}/claim`, `server ${B}`))).toBe('409 busy');
    await after.post(`/drives/${drive}/release`, `server ${A}`);
    expect(await claim(drive, `server ${B}`, after)).toMatchObject({ epoch: '2' });
  });

  test('is claimed by one of many that ask at the same time', async () => {
    const drive = await server.create('size 1M');
    const servers = Array.from({ length: 20 }, () => randomUUID());
    const answers = await Promise.all(
      servers.map((each) => server.post(`/drives/${drive}/claim`, `server ${each}`)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([
      200,
      ...Array.from({ length: 19 }, () => 409),
    ]);
    expect(await listed(drive)).toHaveLength(1);
  });
});

describe('a lease', () => {
  test('is renewed under its epoch, and not under another', async () => {
    const drive = await server.create('size 1M');
    const first = await claim(drive, `server ${A}\nlease 60`);
    const left = Date.parse(first['expires'] ?? '') - Date.now();
    expect(left).toBeGreaterThan(50_000);
    expect(left).toBeLessThanOrEqual(60_000);
    const renew = (pairs: string) => server.post(`/drives/${drive}/claim/renew`, `server ${A}\n${pairs}`);
    const renewed = await renew('epoch 1\nlease 3600');
    const expires = /^expires (\S+)$/m.exec(renewed.text)?.[1] ?? '';
    expect(Date.parse(expires) - Date.now()).toBeGreaterThan(3_000_000);
    await claim(drive, `server ${A}`);
    const stale = await renew('epoch 1');
    expect([refused(stale), stale.text]).toEqual([
      '409 busy',
      expect.stringContaining('the current one is 2'),
    ]);
    expect(refused(await renew('epoch 2'))).toBe('400 usage');
  });

  test('that ran out frees the drive by itself, and the log says so', async () => {
    const drive = await server.create('size 1M');
    await claim(drive, `server ${A}\nlease 1`);
    expect(refused(await server.post(`/drives/${drive}/destroy`))).toBe('409 busy');
    await sleep(1100);
    expect(await server.info(drive)).not.toHaveProperty('claimed');
    await expect.poll(() => audited(drive)).toEqual(['claim A 1', 'expire A 1']);
    expect((await server.post(`/drives/${drive}/destroy`)).status).toBe(204);
  });
});

describe('while a server holds a drive', () => {
  test('what would change it under that server is refused, and nothing has happened', async () => {
    const [drive, other] = [await server.create('size 1M\nname held'), await server.create('size 1M')];
    await server.write(drive, noise('held', 1000));
    await claim(drive, `server ${A}`);
    const attempts = [
      server.post(`/drives/${drive}/destroy`),
      server.post(`/drives/${drive}/image/${other}`),
      server.post(`/drives/${other}/image/${drive}`),
      server.post(`/drives/${drive}/set`, 'size 1k'),
      server.write(drive, noise('other', 1000)),
    ];
    for (const answer of await Promise.all(attempts)) {
      expect([refused(answer), answer.text]).toEqual(['409 busy', expect.stringContaining(A)]);
    }
    expect((await server.read(drive, 0, 1000)).equals(noise('held', 1000))).toBe(true);
    expect((await server.post(`/drives/${drive}/set`, 'size 2M\nname grown')).status).toBe(200);
    expect(await server.info(drive)).toMatchObject({ size: 2 * 2 ** 20, name: 'grown', claimed: A });
  });

  test('and shares it, it is written by HTTP, and becomes exclusive once one is left', async () => {
    const drive = await server.create('size 1M\nclaim:type shared');
    await claim(drive, `server ${A}`);
    await claim(drive, `server ${B}`);
    expect((await server.info(drive))['claimed']).toBe(`${A} ${B}`);
    expect((await server.write(drive, noise('shared', 10))).status).toBe(204);
    const exclusive = () => server.post(`/drives/${drive}/set`, 'claim:type exclusive');
    expect(refused(await exclusive())).toBe('409 busy');
    await server.post(`/drives/${drive}/release`, `server ${A}`);
    expect((await exclusive()).status).toBe(200);
    expect(refused(await server.write(drive, noise('shared', 10)))).toBe('409 busy');
  });

  test('full info tells what would free it, and limits are an administrator’s', async () => {
    const drive = await server.create('size 1M');
    await claim(drive, `server ${A}\naccess ro`);
    await server.json(`/admin/drives/${drive}/limits`, 'iops 500\niops:burst 1000\nbytes 10M');
    expect(await server.info(drive)).toMatchObject({
      'claim:holders': A,
      'claim:access': 'ro',
      'claim:epochs': '1',
      'claim:expires': 'never',
      'claim:connections': '0',
      'claim:ends': `when server ${A} is released`,
      'limit:iops': '500',
      'limit:iops:burst': '1000',
      'limit:bytes': '10485760',
    });
    await server.json(`/admin/drives/${drive}/limits`, 'iops\nbytes');
    const info = await server.info(drive);
    expect(Object.keys(info).filter((key) => key.startsWith('limit:'))).toEqual([]);
  });
});
