import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededRandom } from '../fault/seeded-random.ts';
import { connectNbd, NbdGone } from '../helpers/nbd-client.ts';
import type { NbdClient } from '../helpers/nbd-client.ts';
import { startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const [A, B] = [randomUUID(), randomUUID()];
const TAKEOVERS = Number(process.env['DRIVEBAY_TAKEOVERS'] ?? 60);
const SEED = Number(process.env['DRIVEBAY_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const BLOCK_BYTES = 4096;
const BLOCKS = 64;
let server: ServerProcess;

beforeAll(async () => {
  server = await startServer({ args: ['--nbd-listen', '127.0.0.1:0'] });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function claim(drive: string, pairs: string): Promise<string> {
  const answer = (await server.json(`/drives/${drive}/claim`, pairs)) as Record<string, string>;
  return answer['attach:tcp'] ?? '';
}

function stamp(epoch: number): Buffer {
  return Buffer.alloc(BLOCK_BYTES).fill(`holder ${epoch};`);
}

/** Writes its stamp all over the drive, many requests at a time, until it is cut. */
async function flood(client: NbdClient, epoch: number): Promise<number> {
  const data = stamp(epoch);
  let written = 0;
  const writer = async (lane: number): Promise<void> => {
    for (let block = lane; ; block = (block + 16) % BLOCKS) {
      await client.write(block * BLOCK_BYTES, data, written % 7 === 0 ? 1 : 0);
      written += 1;
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: 16 }, (_, lane) => writer(lane)));
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected' && !(outcome.reason instanceof NbdGone)) throw outcome.reason;
  }
  return written;
}

test.each(['aes-xts-plain', 'none'])(
  `after a takeover no write of the holder before changes a byte (cipher %s, seed ${SEED})`,
  async (cipher) => {
    const random = seededRandom(SEED);
    const drive = await server.create(`size ${BLOCKS * BLOCK_BYTES}\nencryption:cipher ${cipher}`);
    let uri = await claim(drive, `server ${A}`);
    let total = 0;
    for (let epoch = 1; epoch <= TAKEOVERS; epoch += 1) {
      using one = await connectNbd(uri);
      using two = await connectNbd(uri);
      const floods = [flood(one, epoch), flood(two, epoch)];
      await sleep(random.below(30));
      const next = epoch % 2 === 0 ? A : B;
      const nextUri = await claim(drive, `server ${next}\ntakeover true`);
      using after = await connectNbd(nextUri);
      const own = stamp(epoch + 1000);
      for (let block = 0; block < BLOCKS; block += 1) await after.write(block * BLOCK_BYTES, own);
      const whole = Buffer.concat(Array.from({ length: BLOCKS }, () => own));
      for (let look = 0; look < 3; look += 1) {
        const found = await after.read(0, BLOCKS * BLOCK_BYTES);
        if (!found.equals(whole)) throw new Error(`A stamp came back after takeover ${epoch}, seed ${SEED}.`);
        await sleep(random.below(5));
      }
      for (const written of await Promise.all(floods)) total += written;
      await after.leave();
      uri = nextUri;
    }
    expect(total).toBeGreaterThan(TAKEOVERS);
  },
  280_000,
);

test.each([
  ['released', (drive: string) => server.post(`/drives/${drive}/release`, `server ${A}`)],
  [
    'claimed anew by the same server',
    (drive: string) => server.post(`/drives/${drive}/claim`, `server ${A}`),
  ],
])('a claim that is %s cuts its connections before the answer, and its URI is dead', async (_, end) => {
  const drive = await server.create('size 1M');
  const uri = await claim(drive, `server ${A}`);
  using client = await connectNbd(uri);
  await client.write(0, stamp(1));
  let isClosed = false;
  void client.closed.then(() => (isClosed = true));
  expect((await end(drive)).status).toBeLessThan(300);
  await expect(client.write(0, stamp(2))).rejects.toThrow(NbdGone);
  await expect.poll(() => isClosed).toBe(true);
  await expect(connectNbd(uri)).rejects.toThrow(NbdGone);
  expect((await server.read(drive, 0, BLOCK_BYTES)).equals(stamp(1))).toBe(true);
});

test('a lease that runs out cuts its connections without anybody asking', async () => {
  const drive = await server.create('size 1M');
  using client = await connectNbd(await claim(drive, `server ${A}\nlease 1`));
  await client.write(0, stamp(1));
  await client.closed;
  await expect(client.write(0, stamp(2))).rejects.toThrow(NbdGone);
  expect(await server.info(drive)).not.toHaveProperty('claimed');
});

test('servers that share a drive keep their connections when another one leaves', async () => {
  const drive = await server.create('size 1M\nclaim:type shared');
  using one = await connectNbd(await claim(drive, `server ${A}`));
  using other = await connectNbd(await claim(drive, `server ${B}`));
  await one.write(0, stamp(1));
  await server.post(`/drives/${drive}/release`, `server ${A}`);
  await expect(one.read(0, 1)).rejects.toThrow(NbdGone);
  expect((await other.read(0, BLOCK_BYTES)).equals(stamp(1))).toBe(true);
});

test('a connection is cut in the middle of the data of a write, and of a reply that nobody takes', async () => {
  const drive = await server.create('size 64M\nencryption:cipher none');
  const uri = await claim(drive, `server ${A}`);
  using writer = await connectNbd(uri);
  using reader = await connectNbd(uri);
  // The data of this write never comes.
  const half = writer.ask({ command: 'WRITE', lengthBytes: 2 ** 20, data: stamp(1) }).catch((error) => error);
  const answers = Array.from({ length: 8 }, () =>
    reader.ask({ command: 'READ', lengthBytes: 2 ** 25 }).catch((error: unknown) => error),
  );
  await sleep(100);
  expect((await server.post(`/drives/${drive}/release`, `server ${A}`)).status).toBe(204);
  expect(await half).toBeInstanceOf(NbdGone);
  expect((await Promise.all(answers)).at(-1)).toBeInstanceOf(NbdGone);
});
