import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededRandom } from '../fault/seeded-random.ts';
import type { SeededRandom } from '../fault/seeded-random.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { pipelineClient, requestBytes } from './pipeline-client.ts';
import type { PipelineClient } from './pipeline-client.ts';

const MIB = 1024 * 1024;
const DRIVE_BYTES = 6 * MIB + 333;
const SEED = Number(process.env['TRANSFERS_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

let server: ServerProcess;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** A request with what must be answered. */
interface Step {
  readonly bytes: Buffer;
  readonly status: number;
  /** Null when it does not matter. */
  readonly body: Buffer | null;
}

/** The next request on a drive whose content is the model's, which a write changes. */
function anyStep(random: SeededRandom, drive: string, model: Buffer): Step {
  const most = random.pick([1, 600, 5000, 70_000, MIB, 2 * MIB]);
  const size = random.between(1, most);
  const offset = random.below(DRIVE_BYTES - size + 1);
  const path = `/drives/${drive}`;
  switch (random.below(8)) {
    case 0:
      return { bytes: requestBytes('GET', `${path}/info`), status: 200, body: null };
    case 1:
      return { bytes: requestBytes('GET', `${path}/read/${DRIVE_BYTES}/1`), status: 400, body: null };
    case 2:
      return { bytes: requestBytes('POST', `${path}/set`, Buffer.from('name x\n')), status: 200, body: null };
    case 3:
    case 4: {
      const body = Buffer.from(model.subarray(offset, offset + size));
      return { bytes: requestBytes('GET', `${path}/read/${offset}/${size}`), status: 200, body };
    }
    default: {
      const data = random.bytes(size);
      data.copy(model, offset);
      return { bytes: requestBytes('POST', `${path}/write/${offset}`, data), status: 204, body: null };
    }
  }
}

async function expectAnswers(client: PipelineClient, steps: readonly Step[], round: string): Promise<void> {
  for (const [index, { status, body }] of steps.entries()) {
    const answer = await client.answer();
    expect(answer.status, `${round}, answer ${index}`).toBe(status);
    const isRight = body === null || answer.body.equals(body);
    expect(isRight, `${round}, answer ${index}`).toBe(true);
  }
}

test.each(['aes-xts-plain', 'none'])(
  `reads and writes pipelined on one connection are done in their order (cipher %s, seed ${SEED})`,
  async (cipher) => {
    const random = seededRandom(SEED);
    const drive = await server.create(`size ${DRIVE_BYTES}\nencryption:cipher ${cipher}`);
    const model = Buffer.alloc(DRIVE_BYTES);
    using client = await pipelineClient(server.port);
    for (let round = 0; round < 40; round += 1) {
      const steps = Array.from({ length: random.between(1, 8) }, () => anyStep(random, drive, model));
      const all = Buffer.concat(steps.map(({ bytes }) => bytes));
      const cutAt = random.below(all.byteLength);
      client.socket.write(all.subarray(0, cutAt));
      if (random.below(2) === 0) await sleep(random.below(10));
      client.socket.write(all.subarray(cutAt));
      await expectAnswers(client, steps, `round ${round}`);
    }
    expect((await server.read(drive, 0, DRIVE_BYTES)).equals(model)).toBe(true);
  },
);

test('clients that take nothing, many at once, hold up nobody, and get their bytes in the end', async () => {
  const drive = await server.create(`size ${4 * MIB}`);
  const content = noise('slow readers', 4 * MIB);
  expect((await server.write(drive, content)).status).toBe(204);
  const request = requestBytes('GET', `/drives/${drive}/read/0/4M`);
  const slow = await Promise.all(Array.from({ length: 160 }, () => pipelineClient(server.port)));
  for (const { socket } of slow) {
    // As much as the system takes for a client that does not read is taken without it.
    socket.write(Buffer.concat([request, request, request]));
  }
  // Longer than a data thread stays with a client.
  await sleep(4000);
  const fromMs = performance.now();
  for (let round = 0; round < 20; round += 1) {
    expect((await server.read(drive, 0, 4 * MIB)).equals(content)).toBe(true);
    expect((await server.write(drive, content)).status).toBe(204);
  }
  // Nodes wait for a whole Ceph cluster that runs beside them.
  expect(performance.now() - fromMs).toBeLessThan(server.nodes.length === 1 ? 10_000 : 60_000);
  for (const client of slow.slice(0, 8)) {
    for (let index = 0; index < 3; index += 1) {
      const { status, body } = await client.answer();
      expect([status, body.equals(content)]).toEqual([200, true]);
    }
  }
  for (const client of slow) client.socket.destroy();
});

test('a server that is told to stop while bodies come and go finishes them', async () => {
  await using stopping = await startServer();
  const drive = await stopping.create('size 64M');
  const content = noise('stopping', 4 * MIB);
  expect((await stopping.write(drive, content)).status).toBe(204);
  using reader = await pipelineClient(stopping.port);
  using writer = await pipelineClient(stopping.port);
  const write = requestBytes('POST', `/drives/${drive}/write/8M`, noise('late', 8 * MIB));
  reader.socket.write(requestBytes('GET', `/drives/${drive}/read/0/4M`));
  writer.socket.write(write.subarray(0, MIB));
  await once(reader.socket, 'readable');
  await sleep(50);
  const stopped = stopping.stop();
  await sleep(100);
  writer.socket.write(write.subarray(MIB));
  expect((await reader.answer()).body.equals(content)).toBe(true);
  expect((await writer.answer()).status).toBe(204);
  expect(await stopped).toBe(0);
  await using again = await startServer({ dataDirectory: stopping.dataDirectory });
  expect((await again.read(drive, 8 * MIB, 8 * MIB)).equals(noise('late', 8 * MIB))).toBe(true);
});

/** Clients that come, ask and hang up at any moment, until told to stop. */
async function hangUpAtRandom(
  port: number,
  { random, drive, isOver }: { random: SeededRandom; drive: string; isOver: () => boolean },
): Promise<number> {
  let rounds = 0;
  while (!isOver()) {
    const client = await pipelineClient(port);
    const size = random.pick([512, 65_536, 300_000, MIB]);
    const isRead = random.below(2) === 0;
    const bytes = isRead
      ? requestBytes('GET', `/drives/${drive}/read/0/${size}`)
      : requestBytes('POST', `/drives/${drive}/write`, Buffer.alloc(size, 'noise of others '));
    const sentBytes = random.below(2) === 0 ? bytes.byteLength : random.below(bytes.byteLength);
    client.socket.write(bytes.subarray(0, sentBytes));
    // Now and then one waits, so that they do not ask for ever more than the server can do.
    const waits = sentBytes === bytes.byteLength && random.below(2) === 0;
    if (waits) await client.answer();
    else await sleep(random.below(6));
    if (random.below(2) === 0) client.socket.resetAndDestroy();
    else client.socket.destroy();
    rounds += 1;
  }
  return rounds;
}

test(`no client gets or gives a byte of another's, however connections come and go (seed ${SEED})`, async () => {
  // In memory: what is asked here has nothing to do with disks, and thousands of flushes would take minutes.
  const scratch = await mkdtemp('/dev/shm/drivebay-transfers-');
  await using busy = await startServer({ dataDirectory: join(scratch, 'data') });
  const [mine, others] = await Promise.all([busy.create('size 4M'), busy.create('size 4M')]);
  const random = seededRandom(SEED);
  const model = Buffer.alloc(4 * MIB);
  let isOver = false;
  const crowd = Array.from({ length: 3 }, (_, index) =>
    hangUpAtRandom(busy.port, { random: seededRandom(SEED + index), drive: others, isOver: () => isOver }),
  );
  try {
    for (let round = 0; round < 1000; round += 1) {
      using client = await pipelineClient(busy.port);
      const size = random.pick([512, 4096, 65_536, 300_000]);
      const offset = random.below(model.byteLength - size);
      const data = random.bytes(size);
      data.copy(model, offset);
      client.socket.write(requestBytes('POST', `/drives/${mine}/write/${offset}`, data));
      expect((await client.answer()).status, `round ${round}`).toBe(204);
      client.socket.write(requestBytes('GET', `/drives/${mine}/read/${offset}/${size}`));
      expect((await client.answer()).body.equals(data), `round ${round}`).toBe(true);
    }
  } finally {
    isOver = true;
  }
  const rounds = await Promise.all(crowd);
  expect(rounds.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(1000);
  expect((await busy.read(mine, 0, 4 * MIB)).equals(model)).toBe(true);
  expect(busy.output()).not.toMatch(/"level":"(error|fatal)"/);
  await busy.stop();
  await rm(scratch, { recursive: true });
});
