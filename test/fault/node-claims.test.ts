import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DriveClient } from '../helpers/drive-client.ts';
import { connectNbd } from '../helpers/nbd-client.ts';
import { startNodeCluster } from '../helpers/node-cluster.ts';
import type { NodeCluster } from '../helpers/node-cluster.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

// Two nodes, and drives that are with the first of them: what the second one is asked for holds at the first.

const BLOCK = Buffer.alloc(4096, 1);

let cluster: NodeCluster;
let a: ServerProcess;
let b: ServerProcess;

beforeAll(async () => {
  cluster = await startNodeCluster();
  a = await cluster.start('a');
  b = await cluster.start('b');
});

afterAll(() => cluster[Symbol.asyncDispose]());

type Claim = Readonly<Record<string, string>>;

async function claim(node: DriveClient, drive: string, pairs = ''): Promise<Claim> {
  return (await node.json(`/drives/${drive}/claim`, `server ${randomUUID()}\n${pairs}`)) as Claim;
}

async function holders(drive: string): Promise<readonly (string | undefined)[]> {
  return ((await a.json(`/drives/${drive}/claims`)) as readonly Claim[]).map(({ server }) => server);
}

test('of many servers that claim a drive through both nodes at once one gets it', async () => {
  const drive = await a.create('size 1M');
  for (let round = 0; round < 5; round += 1) {
    const servers = Array.from({ length: 8 }, () => randomUUID());
    const answers = await Promise.all(
      servers.map((server, index) =>
        (index % 2 === 0 ? a : b).post(`/drives/${drive}/claim`, `server ${server}`),
      ),
    );
    const winners = servers.filter((_, index) => answers[index]?.status === 200);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409, 409, 409, 409, 409]);
    expect(await holders(drive)).toEqual(winners);
    const node = round % 2 === 0 ? b : a;
    expect((await node.post(`/drives/${drive}/release`, `server ${winners[0]}`)).status).toBe(204);
  }
});

test('a claim through one node is served by the other, and a takeover cuts it there before it is answered', async () => {
  const drive = await a.create('size 1M');
  let current = await claim(b, drive);
  for (let round = 0; round < 5; round += 1) {
    expect(current['attach:unix']).toBeUndefined();
    using old = await connectNbd(String(current['attach:tcp']));
    let written = 0;
    const load = (async () => {
      for (;;) {
        await old.write(0, BLOCK);
        written += 1;
      }
    })();
    const failed = load.catch((error: unknown) => error);
    await expect.poll(() => written, { timeout: 20_000 }).toBeGreaterThan(10);
    current = await claim(b, drive, 'takeover true');
    const writtenWhenAnswered = written;
    await old.closed;
    expect(await failed).toBeInstanceOf(Error);
    // At most what had been answered already was still on its way here.
    expect(written - writtenWhenAnswered).toBeLessThanOrEqual(1);
  }
  expect(current['epoch']).toBe('6');
});

test('a release and the end of a lease through one node cut at the other', async () => {
  const drive = await a.create('size 1M');
  const held = await claim(b, drive);
  using first = await connectNbd(String(held['attach:tcp']));
  expect((await b.post(`/drives/${drive}/release`, `server ${held['server']}`)).status).toBe(204);
  await expect(first.write(0, BLOCK)).rejects.toBeInstanceOf(Error);
  const leased = await claim(b, drive, 'lease 2');
  using second = await connectNbd(String(leased['attach:tcp']));
  await second.closed;
  expect(await holders(drive)).toEqual([]);
});

test('a drive that is destroyed through one node is removed at the other', async () => {
  const drive = await a.create('size 1M');
  expect((await b.post(`/drives/${drive}/destroy`)).status).toBe(204);
  const left = () =>
    cluster.postgres.query(`select state from drives where drive_id = '${drive}'`, 'drivebay1');
  await expect.poll(left, { timeout: 20_000 }).toEqual([]);
});

test('an imaging that is asked for through one node is done at the other, and none goes from node to node', async () => {
  const [source, target, far] = [
    await a.create('size 1M'),
    await a.create('size 1M'),
    await b.create('size 1M'),
  ];
  await a.write(`${source}/0`, BLOCK);
  expect((await b.post(`/drives/${target}/image/${source}`)).status).toBe(204);
  const imaging = async () => (await b.info(target))['imaging'] ?? 'done';
  await expect.poll(imaging, { timeout: 20_000 }).toBe('done');
  expect((await a.read(target, 0, 4096)).equals(BLOCK)).toBe(true);
  const refused = await a.post(`/drives/${far}/image/${source}`);
  expect(refused.status).toBe(400);
  expect(refused.text).toContain('stays within one node');
});

test('while a node does not answer nobody is told that its servers are cut, and they are once it is back', async () => {
  const drive = await a.create('size 1M');
  const held = await claim(a, drive);
  using old = await connectNbd(String(held['attach:tcp']));
  await old.write(0, BLOCK);
  process.kill(a.pid, 'SIGSTOP');
  const takeover = await b.post(`/drives/${drive}/claim`, `server ${randomUUID()}\ntakeover true`);
  expect(takeover.status).toBe(503);
  expect(takeover.text).toContain(`127.0.0.1:${a.port}`);
  const states = (await b.json('/admin/nodes')) as readonly Claim[];
  expect(states.map(({ address, state }) => `${address} ${state}`).sort()).toEqual(
    [`127.0.0.1:${a.port} gone`, `127.0.0.1:${b.port} up`].sort(),
  );
  // Now that it is known to be gone nothing is begun.
  expect((await b.post(`/drives/${drive}/release`, `server ${randomUUID()}`)).status).toBe(503);
  process.kill(a.pid, 'SIGCONT');
  await old.closed;
  expect(await holders(drive)).toHaveLength(1);
  await expect
    .poll(async () => (await b.post(`/drives/${drive}/release`, `server ${randomUUID()}`)).status, {
      timeout: 20_000,
    })
    .toBe(204);
});
