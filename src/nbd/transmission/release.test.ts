import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { RATE_LIMIT_BYTES, RateLimit, writeRateLimits } from '../../data-workers/rate-limit.ts';
import type { Form } from '../scratch-requests.ts';
import { ScratchConnection, scratchMemory, ScratchThread } from './scratch-connection.ts';

const MIB = 2 ** 20;
const FORMS: readonly Form[] = ['simple', 'structured', 'extended'];

test('a connection at rest is released at once, with nothing left', () => {
  const client = new ScratchConnection(new ScratchThread());
  expect(client.ask({ command: 'WRITE', data: Buffer.from('a') }).error).toBe(0);
  client.transmission.release();
  expect(client.endReason).toBe('released');
  expect(client.transmission.leftover()).toHaveLength(0);
});

test.each(FORMS)(
  'wherever a stream of requests is cut, another connection goes on with what is left (%s)',
  (form) => {
    const thread = new ScratchThread();
    for (let cut = 0; cut <= 32 * 2 + 300; cut += 13) {
      const device = scratchMemory();
      const first = new ScratchConnection(thread, { form, device });
      const data = randomBytes(300);
      const stream = Buffer.concat([
        first.encode({ command: 'WRITE', offsetBytes: 11, data }),
        first.encode({ command: 'READ', offsetBytes: 0, lengthBytes: 400 }),
      ]);
      first.send(stream.subarray(0, cut));
      first.transmission.release();
      // A write whose data has begun to come is done before.
      let sent = cut;
      for (; first.endReason === null; sent += 1) first.send(stream.subarray(sent, sent + 1));
      expect(first.endReason).toBe('released');
      const leftover = Buffer.concat([first.transmission.leftover(), stream.subarray(sent)]);
      const second = new ScratchConnection(thread, { form, device, leftover });
      for (const [cookie, awaited] of first.awaited) {
        if (!first.replies.has(cookie)) second.awaited.set(cookie, awaited);
      }
      first.take();
      const replyOf = (cookie: number) => first.replies.get(cookie) ?? second.reply(cookie);
      expect([replyOf(1).error, replyOf(2).data.subarray(11, 311).equals(data)]).toEqual([0, true]);
      second.close();
    }
  },
);

test('a flush and a large reply are answered before the connection is released', () => {
  const client = new ScratchConnection(new ScratchThread());
  client.send(client.encode({ command: 'FLUSH' }), false);
  client.send(client.encode({ command: 'READ', lengthBytes: 16 * MIB }), false);
  client.transmission.release();
  expect(client.endReason).toBeNull();
  const reply = client.reply(2);
  expect([reply.data.length, client.endReason]).toEqual([16 * MIB, null]);
  client.flushes[0]?.(0);
  expect(client.reply(1).error).toBe(0);
  expect(client.untilEnded()).toBe('released');
});

test('a request that waits for its share of the budget is left for whoever goes on', () => {
  const memory = new SharedArrayBuffer(RATE_LIMIT_BYTES);
  writeRateLimits(memory, { iops: 1, iopsBurst: 1, bytesPerSecond: null, burstBytes: null });
  const limit = new RateLimit(memory, () => 1);
  const client = new ScratchConnection(new ScratchThread(), { limit });
  for (let index = 0; index < 4; index += 1) client.send(client.encode({ command: 'READ', lengthBytes: 1 }));
  client.transmission.release();
  expect(client.untilEnded()).toBe('released');
  expect(client.transmission.leftover().length).toBeGreaterThanOrEqual(28);
});
