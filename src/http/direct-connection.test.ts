import { connect } from 'node:net';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../test/fault/seeded-random.ts';
import type { SeededRandom } from '../../test/fault/seeded-random.ts';
import { echoOf, startDirectServer } from './scratch-direct-server.ts';
import type { TakeBody } from './scratch-direct-server.ts';

const WRITE = '/drives/x/write';

interface Message {
  readonly bytes: Buffer;
  /** What the server must have understood. */
  readonly echo: string;
}

function message(method: string, path: string, body: Uint8Array = Buffer.alloc(0)): Message {
  const length = body.byteLength === 0 ? '' : `Content-Length: ${body.byteLength}\r\n`;
  const head = Buffer.from(`${method} ${path} HTTP/1.1\r\n${length}\r\n`);
  return { bytes: Buffer.concat([head, body]), echo: echoOf(method, path, body) };
}

interface Client extends Disposable {
  send(...parts: readonly Uint8Array[]): void;
  end(): void;
  pause(): void;
  resume(): void;
  /** The bodies of the answers, without the padding, once there are so many, or all when the server closes. */
  answers(count: number): Promise<string[]>;
}

function client(port: number): Client {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  let text = '';
  const { promise: closed, resolve: close } = Promise.withResolvers<true>();
  socket.on('data', (chunk) => (text += chunk.toString('latin1').replaceAll('~', '')));
  socket.on('error', () => undefined);
  socket.on('end', () => close(true));
  socket.on('close', () => close(true));
  const found = (): string[] =>
    [...text.matchAll(/\r\n\r\n([A-Z]+ \S+ \d+ [0-9a-f]{64}|short)/g)].map(([, body = '']) => body);
  return {
    send: (...parts) => void socket.write(Buffer.concat(parts)),
    end: () => void socket.end(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    async answers(count) {
      while (found().length < count && !(await Promise.race([closed, sleep(2, false)])));
      return found();
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}

const inChunks: TakeBody = () => ({ lentBytes: 0 });
const lentWhole: TakeBody = ({ lengthBytes }) => ({ lentBytes: lengthBytes });
const lentHalf: TakeBody = ({ lengthBytes }) => ({ lentBytes: Math.ceil(lengthBytes / 2) });

const { bytes: sample } = seededRandom(1);

describe.each([
  ['chunk by chunk', inChunks],
  ['from the lent socket', lentWhole],
  ['from the lent socket as far as its reader waits', lentHalf],
])('the body of a write, taken %s,', (_how, takeBody) => {
  test.each([1, 100, 65_536, 3_000_000])(
    'is whole when it has %i bytes and comes with its head',
    async (size) => {
      await using server = await startDirectServer(takeBody);
      using one = client(server.port);
      const write = message('POST', WRITE, sample(size));
      one.send(write.bytes);
      expect(await one.answers(1)).toEqual([write.echo]);
    },
  );

  test('is whole when it comes after its head, and drips', async () => {
    await using server = await startDirectServer(takeBody);
    using one = client(server.port);
    const write = message('POST', `${WRITE}/1`, sample(2000));
    const headBytes = write.bytes.byteLength - 2000;
    one.send(write.bytes.subarray(0, headBytes));
    for (let at = headBytes; at < write.bytes.byteLength; at += 100) {
      await sleep(2);
      one.send(write.bytes.subarray(at, at + 100));
    }
    expect(await one.answers(1)).toEqual([write.echo]);
  });

  test('is its own when writes and other requests are pipelined in one packet', async () => {
    await using server = await startDirectServer(takeBody);
    using one = client(server.port);
    const sizes = [10, 70_000, 1, 200_000, 4096];
    const messages = sizes.flatMap((size, index) => [
      message('POST', `${WRITE}/${index}`, sample(size)),
      message('GET', `/info/${index}`),
      message('POST', '/drives/create', sample(size)),
    ]);
    one.send(...messages.map(({ bytes }) => bytes));
    expect(await one.answers(messages.length)).toEqual(messages.map(({ echo }) => echo));
  });

  test('is whole when its head comes in two packets, and so is that of the next one', async () => {
    await using server = await startDirectServer(takeBody);
    using one = client(server.port);
    const writes = [message('POST', WRITE, sample(5000)), message('POST', WRITE, sample(300_000))];
    const all = Buffer.concat(writes.map(({ bytes }) => bytes));
    one.send(all.subarray(0, 20));
    await sleep(20);
    one.send(all.subarray(20));
    expect(await one.answers(2)).toEqual(writes.map(({ echo }) => echo));
  });

  test('that ends before its end is told as short, with an answer to a client that still listens', async () => {
    await using server = await startDirectServer(takeBody);
    for (const sentBytes of [0, 1000, 90_000]) {
      using one = client(server.port);
      const write = message('POST', WRITE, sample(100_000));
      one.send(write.bytes.subarray(0, write.bytes.byteLength - 100_000 + sentBytes));
      one.end();
      expect(await one.answers(1)).toEqual(['short']);
    }
  });

  test('is whole when the client sends no more behind it', async () => {
    await using server = await startDirectServer(takeBody);
    using one = client(server.port);
    const messages = [message('POST', WRITE, sample(100_000)), message('POST', WRITE, sample(9))];
    one.send(...messages.map(({ bytes }) => bytes));
    one.end();
    expect(await one.answers(2)).toEqual(messages.map(({ echo }) => echo));
  });

  test('stays its own while earlier answers are too many for the client, and requests pile up', async () => {
    await using server = await startDirectServer(takeBody);
    using one = client(server.port);
    one.pause();
    const messages = Array.from({ length: 40 }, (_, index) => [
      message('GET', `/pad/${400_000}`),
      message('GET', `/info/${index}`),
      message('POST', `${WRITE}/${index}`, sample(30_000 + index)),
    ]).flat();
    for (const { bytes } of messages) {
      one.send(bytes);
      await setImmediate();
    }
    await sleep(50);
    one.resume();
    expect(await one.answers(messages.length)).toEqual(messages.map(({ echo }) => echo));
  });
});

test('a client that goes away in the middle of a lent body fails that body', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using server = await startDirectServer((body) => {
    resolve();
    return { lentBytes: body.lengthBytes };
  });
  const gone = client(server.port);
  gone.send(message('POST', WRITE, sample(100_000)).bytes.subarray(0, 50_000));
  await promise;
  gone[Symbol.dispose]();
  using next = client(server.port);
  const write = message('POST', WRITE, sample(100_000));
  next.send(write.bytes);
  expect(await next.answers(1)).toEqual([write.echo]);
});

describe('any requests, in packets of any size,', () => {
  const seed = Number(process.env['DIRECT_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

  function anyMessage(random: SeededRandom, index: number): Message {
    const size = random.pick([1, 2, 100, 5000, 65_535, 65_536, 140_000]) + random.below(50);
    switch (random.below(5)) {
      case 0:
        return message('GET', `/info/${index}`);
      case 1:
        return message('GET', `/pad/${random.below(300_000)}`);
      case 2:
        return message('POST', `/drives/${index}/set`, random.bytes(size));
      default:
        return message('POST', `${WRITE}/${index}`, random.bytes(size));
    }
  }

  /** Packets whose boundaries fall anywhere but within heads, after which there would be no more writes to look at. */
  function packets(random: SeededRandom, messages: readonly Message[]): Buffer[] {
    const cuts = [0];
    let at = 0;
    for (const { bytes } of messages) {
      const bodyAt = at + bytes.indexOf('\r\n\r\n') + 4;
      const end = at + bytes.byteLength;
      if (random.below(3) === 0) cuts.push(at);
      for (let count = random.below(3); count > 0; count -= 1) {
        cuts.push(bodyAt + random.below(end - bodyAt + 1));
      }
      at = end;
    }
    const all = Buffer.concat(messages.map(({ bytes }) => bytes));
    const edges = [...new Set([...cuts, at])].toSorted((one, other) => one - other);
    return edges.slice(1).map((edge, index) => all.subarray(edges[index], edge));
  }

  test(`are understood as they were sent (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    await using server = await startDirectServer(({ lengthBytes }) => ({
      lentBytes: random.pick([0, lengthBytes, random.below(lengthBytes + 1)]),
    }));
    for (let round = 0; round < 40; round += 1) {
      using one = client(server.port);
      const messages = Array.from({ length: 12 }, (_, index) => anyMessage(random, index));
      const isSlow = random.below(3) === 0;
      if (isSlow) one.pause();
      for (const packet of packets(random, messages)) {
        one.send(packet);
        if (random.below(2) === 0) await sleep(random.below(3));
      }
      if (isSlow) one.resume();
      expect(await one.answers(messages.length), `round ${round}`).toEqual(messages.map(({ echo }) => echo));
    }
  });
});
