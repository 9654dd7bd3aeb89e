import { describe, expect, test } from 'vitest';
import { fault } from '../../blockdev/layers/fault.ts';
import { readStats } from '../../data-workers/connection-stats.ts';
import { NBD_CMD_FLAG, NBD_ERROR } from '../protocol-numbers.ts';
import type { Form } from '../scratch-requests.ts';
import { SCRATCH_BYTES, ScratchConnection, scratchMemory, ScratchThread } from './scratch-connection.ts';

const MIB = 2 ** 20;
const FORMS: readonly Form[] = ['simple', 'structured', 'extended'];
const CHUNKED: readonly Form[] = ['structured', 'extended'];

function pattern(lengthBytes: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at += 1) bytes[at] = at * 31 + (at >> 8) * seed;
  return bytes;
}

describe.each(FORMS)('with %s replies', (form) => {
  test('what is written is read, at any offset and length, and what was given back reads as zeros', () => {
    const client = new ScratchConnection(new ScratchThread(), { form });
    const data = pattern(10_000);
    expect(client.ask({ command: 'WRITE', offsetBytes: 12_345, data }).error).toBe(0);
    expect(client.ask({ command: 'READ', offsetBytes: 12_345, lengthBytes: 10_000 }).data.equals(data)).toBe(
      true,
    );
    expect(client.ask({ command: 'TRIM', offsetBytes: 13_000, lengthBytes: 5_000 }).error).toBe(0);
    expect(client.ask({ command: 'WRITE_ZEROES', offsetBytes: 20_000, lengthBytes: 100 }).error).toBe(0);
    expect(client.ask({ command: 'CACHE', offsetBytes: 0, lengthBytes: SCRATCH_BYTES }).error).toBe(0);
    data.fill(0, 13_000 - 12_345, 18_000 - 12_345).fill(0, 20_000 - 12_345, 20_100 - 12_345);
    expect(client.ask({ command: 'READ', offsetBytes: 12_345, lengthBytes: 10_000 }).data.equals(data)).toBe(
      true,
    );
    const stats = readStats(client.stats);
    expect([stats.read.bytes, stats.write.bytes, stats.other.requests]).toEqual([20_000, 10_000, 3]);
  });

  test('32 MiB go in one request, to the drive and back', () => {
    const client = new ScratchConnection(new ScratchThread(), { form });
    const data = pattern(32 * MIB, 7);
    expect(client.ask({ command: 'WRITE', offsetBytes: 5, data }).error).toBe(0);
    const reply = client.ask({ command: 'READ', offsetBytes: 5, lengthBytes: 32 * MIB });
    expect(reply.data.equals(data)).toBe(true);
    expect(reply.chunks).toBe(form === 'simple' ? 0 : 64);
  });

  test('a request in pieces of any size is put together again, and its neighbours with it', () => {
    const thread = new ScratchThread();
    for (const pieceBytes of [1, 3, 27, 28, 31, 33, 1000]) {
      const client = new ScratchConnection(thread, { form });
      const data = pattern(700, pieceBytes);
      const stream = Buffer.concat([
        client.encode({ command: 'WRITE', offsetBytes: 100, data }),
        client.encode({ command: 'WRITE', offsetBytes: SCRATCH_BYTES - 5, data }),
        client.encode({ command: 'READ', offsetBytes: 100, lengthBytes: 700 }),
      ]);
      for (let at = 0; at < stream.length; at += pieceBytes)
        client.send(stream.subarray(at, at + pieceBytes));
      expect(client.reply(3).data.equals(data)).toBe(true);
      expect([1, 2].map((cookie) => client.reply(cookie).error)).toEqual([0, NBD_ERROR.ENOSPC]);
      client.close();
      expect(client.untilEnded()).toMatch(/client-left|connection-lost/);
    }
    expect(thread.buffers.lentCount).toBe(0);
  });

  test('what came with the handshake is served, also when it is more than the input holds', () => {
    const thread = new ScratchThread();
    const maker = new ScratchConnection(thread, { form });
    const data = pattern(300_000);
    const leftover = Buffer.concat([
      maker.encode({ command: 'WRITE', data: pattern(60_000, 3), offsetBytes: MIB }),
      ...Array.from({ length: 4000 }, () => maker.encode({ command: 'CACHE', lengthBytes: 1 })),
      maker.encode({ command: 'WRITE', data }),
    ]);
    const device = scratchMemory();
    const client = new ScratchConnection(thread, { form, device, leftover: leftover.subarray(0, -1000) });
    for (const [cookie, awaited] of maker.awaited) client.awaited.set(cookie, awaited);
    client.send(leftover.subarray(-1000));
    expect(client.reply(maker.lastCookie).error).toBe(0);
    expect(client.replies.size).toBe(4002);
    const found = Buffer.alloc(300_000);
    void device.read(0, found);
    expect(found.equals(data)).toBe(true);
  });

  test('FLUSH and FUA are answered after a flush, and other requests are not kept waiting by it', () => {
    const client = new ScratchConnection(new ScratchThread(), { form });
    client.send(
      Buffer.concat([
        client.encode({ command: 'WRITE', data: pattern(10), flags: NBD_CMD_FLAG.FUA }),
        client.encode({ command: 'FLUSH' }),
        client.encode({ command: 'TRIM', lengthBytes: 10, flags: NBD_CMD_FLAG.FUA }),
        client.encode({ command: 'WRITE_ZEROES', lengthBytes: 10, flags: NBD_CMD_FLAG.FUA }),
        client.encode({ command: 'READ', lengthBytes: 10 }),
      ]),
    );
    expect(client.reply(5).error).toBe(0);
    expect([client.order, client.flushes.length]).toEqual([[5], 4]);
    client.flushes[1]?.(NBD_ERROR.EIO);
    client.flushes[0]?.(0);
    expect([client.reply(2).error, client.reply(1).error]).toEqual([NBD_ERROR.EIO, 0]);
    client.flushes[3]?.(0);
    client.flushes[2]?.(0);
    expect([client.reply(3).error, client.reply(4).error]).toEqual([0, 0]);
  });

  test('a disk that fails is an error of the request, and the next one is served', () => {
    const device = fault(scratchMemory(), [
      { call: 'read', nth: 1, code: 'EIO' },
      { call: 'write', nth: 1, code: 'ENOSPC' },
      { call: 'write', nth: 3, code: 'EDQUOT' },
      { call: 'zero', nth: 1, code: 'EIO' },
      { call: 'discard', nth: 1, code: 'ENODEV' },
    ]);
    const client = new ScratchConnection(new ScratchThread(), { form, device });
    expect(client.ask({ command: 'READ', lengthBytes: 1 }).error).toBe(NBD_ERROR.EIO);
    expect(client.ask({ command: 'READ', lengthBytes: 1 }).error).toBe(0);
    expect(client.ask({ command: 'WRITE', data: pattern(10) }).error).toBe(NBD_ERROR.ENOSPC);
    expect(client.ask({ command: 'WRITE', data: pattern(10), flags: 0 }).error).toBe(0);
    expect(client.ask({ command: 'WRITE', data: pattern(MIB), flags: NBD_CMD_FLAG.FUA }).error).toBe(
      NBD_ERROR.ENOSPC,
    );
    expect(client.flushes).toHaveLength(0);
    expect(client.ask({ command: 'WRITE_ZEROES', lengthBytes: 10 }).error).toBe(NBD_ERROR.EIO);
    expect(client.ask({ command: 'TRIM', lengthBytes: 10 }).error).toBe(NBD_ERROR.EIO);
  });

  test('a read-only claim changes nothing, and the data of a refused write is passed over', () => {
    const client = new ScratchConnection(new ScratchThread(), { form, isReadOnly: true });
    const changes = [
      { command: 'WRITE', data: pattern(MIB) },
      { command: 'TRIM', lengthBytes: 1 },
      { command: 'WRITE_ZEROES', lengthBytes: 1 },
    ] as const;
    expect(changes.map((change) => client.ask(change).error)).toEqual([1, 1, 1].map(() => NBD_ERROR.EPERM));
    expect(client.ask({ command: 'READ', lengthBytes: MIB }).data.equals(Buffer.alloc(MIB))).toBe(true);
  });

  test('a pool that is low lets only space be written that is taken already', () => {
    let isLow = false;
    const client = new ScratchConnection(new ScratchThread(), { form, isPoolLow: () => isLow });
    expect(client.ask({ command: 'WRITE', data: pattern(8192) }).error).toBe(0);
    isLow = true;
    expect(client.ask({ command: 'WRITE', data: pattern(8192, 2) }).error).toBe(0);
    expect(client.ask({ command: 'WRITE', data: pattern(8193, 3) }).error).toBe(NBD_ERROR.ENOSPC);
    const zeros = { command: 'WRITE_ZEROES', offsetBytes: MIB, lengthBytes: 4096 } as const;
    expect(client.ask({ ...zeros, flags: NBD_CMD_FLAG.NO_HOLE }).error).toBe(NBD_ERROR.ENOSPC);
    expect(client.ask(zeros).error).toBe(0);
    expect(client.ask({ command: 'READ', lengthBytes: 8192 }).data.equals(pattern(8192, 2))).toBe(true);
  });

  test('NO_HOLE keeps the space, and FAST_ZERO is done only where nothing is written', () => {
    const device = scratchMemory();
    const client = new ScratchConnection(new ScratchThread(), { form, device });
    const zeros = { command: 'WRITE_ZEROES', offsetBytes: 4096, lengthBytes: MIB } as const;
    const { NO_HOLE, FAST_ZERO } = NBD_CMD_FLAG;
    expect(client.ask({ ...zeros, flags: NO_HOLE | FAST_ZERO }).error).toBe(NBD_ERROR.ENOTSUP);
    expect(device.extents({ offsetBytes: 0, lengthBytes: 8192 })).toMatchObject([{ kind: 'zero' }]);
    expect(client.ask({ ...zeros, flags: NO_HOLE }).error).toBe(0);
    expect(device.extents({ offsetBytes: 4096, lengthBytes: MIB })).toMatchObject([{ kind: 'data' }]);
    expect(client.ask({ ...zeros, flags: FAST_ZERO }).error).toBe(0);
    expect(device.extents({ offsetBytes: 0, lengthBytes: 2 * MIB })).toMatchObject([{ kind: 'zero' }]);
  });

  test('a request that does not begin as one must, or a write of more than 32 MiB, ends the connection', () => {
    const thread = new ScratchThread();
    for (const bad of [
      { command: 'READ', lengthBytes: 1, magic: 0x12345678 },
      { command: 'WRITE', lengthBytes: 32 * MIB + 1 },
    ] as const) {
      const client = new ScratchConnection(thread, { form });
      client.send(client.encode(bad));
      expect(client.untilEnded()).toBe('bad-request');
    }
    expect(thread.buffers.lentCount).toBe(0);
  });

  test('DISC ends the connection after everything that was asked before it, and nothing that comes after', () => {
    const device = scratchMemory();
    const client = new ScratchConnection(new ScratchThread(), { form, device });
    client.send(
      Buffer.concat([
        client.encode({ command: 'WRITE', data: pattern(100) }),
        client.encode({ command: 'FLUSH' }),
        client.encode({ command: 'READ', lengthBytes: 100 }),
        client.encode({ command: 'DISC' }),
        client.encode({ command: 'WRITE', data: Buffer.alloc(100) }),
      ]),
    );
    expect(client.reply(3).data.equals(pattern(100))).toBe(true);
    for (let turns = 0; turns < 10; turns += 1) client.thread.turn();
    expect(client.endReason).toBeNull();
    client.flushes[0]?.(0);
    expect(client.untilEnded()).toBe('disconnected');
    client.take();
    expect(client.order).toEqual([1, 3, 2]);
    const found = Buffer.alloc(100);
    void device.read(0, found);
    expect(found.equals(pattern(100))).toBe(true);
    expect(client.thread.buffers.lentCount).toBe(0);
  });
});

describe('when a disk fails in the middle of a long read', () => {
  const failing = () => fault(scratchMemory(), [{ call: 'read', nth: 3, code: 'EIO' }]);

  test.each(CHUNKED)('a %s reply ends with an error', (form) => {
    const client = new ScratchConnection(new ScratchThread(), { form, device: failing() });
    expect(client.ask({ command: 'READ', lengthBytes: 2 * MIB })).toMatchObject({
      error: NBD_ERROR.EIO,
      chunks: 3,
    });
    expect(client.ask({ command: 'READ', lengthBytes: 2 * MIB }).error).toBe(0);
  });

  test.each([
    ['simple', 0] as const,
    ['structured', NBD_CMD_FLAG.DF] as const,
    ['extended', NBD_CMD_FLAG.DF] as const,
  ])('a %s reply of one piece is cut off', (form, flags) => {
    const client = new ScratchConnection(new ScratchThread(), { form, device: failing() });
    client.send(client.encode({ command: 'READ', lengthBytes: 2 * MIB, flags }));
    expect(client.untilEnded()).toBe('cut');
    expect(client.thread.buffers.lentCount).toBe(0);
  });
});

describe.each(CHUNKED)('with %s replies', (form) => {
  test('DF brings one chunk, however long', () => {
    const client = new ScratchConnection(new ScratchThread(), { form });
    const read = { command: 'READ', lengthBytes: 32 * MIB, flags: NBD_CMD_FLAG.DF } as const;
    expect(client.ask(read)).toMatchObject({ error: 0, chunks: 1 });
    expect(client.ask({ ...read, lengthBytes: 32 * MIB + 1 }).error).toBe(NBD_ERROR.EOVERFLOW);
  });

  test('BLOCK_STATUS tells holes from data, one extent when one is asked for, and 4096 at the most', () => {
    const client = new ScratchConnection(new ScratchThread(), { form });
    client.ask({ command: 'WRITE', offsetBytes: 8192, data: pattern(4096) });
    const status = { command: 'BLOCK_STATUS', lengthBytes: SCRATCH_BYTES } as const;
    expect(client.ask(status).extents).toEqual([
      { lengthBytes: 8192, flags: 3 },
      { lengthBytes: 4096, flags: 0 },
      { lengthBytes: SCRATCH_BYTES - 12_288, flags: 3 },
    ]);
    expect(client.ask({ ...status, flags: NBD_CMD_FLAG.REQ_ONE, lengthBytes: 100 }).extents).toEqual([
      { lengthBytes: 100, flags: 3 },
    ]);
    for (let at = 0; at < 5000; at += 1) {
      client.ask({ command: 'WRITE', offsetBytes: at * 8192, data: Buffer.from([1]) });
    }
    expect(client.ask(status).extents).toHaveLength(4096);
  });
});

test('data behind a request that should have none is passed over where the header says that it is there', () => {
  const client = new ScratchConnection(new ScratchThread(), { form: 'extended' });
  const flags = NBD_CMD_FLAG.PAYLOAD_LEN;
  expect(client.ask({ command: 'BLOCK_STATUS', data: pattern(1000), flags }).error).toBe(NBD_ERROR.EINVAL);
  expect(client.ask({ command: 'READ', lengthBytes: 5 }).error).toBe(0);
});

describe('a client that does not take its replies', () => {
  test('keeps no other waiting, however many there are, and gets them all in the end', () => {
    const thread = new ScratchThread();
    const device = scratchMemory();
    const slow = Array.from({ length: 40 }, () => new ScratchConnection(thread, { device }));
    for (const client of slow) {
      client.send(client.encode({ command: 'READ', lengthBytes: 4 * MIB }), false);
      client.send(
        client.encode({ command: 'WRITE', offsetBytes: 5, data: pattern(50_000) }).subarray(0, 9000),
        false,
      );
    }
    for (let turns = 0; turns < 20; turns += 1) thread.turn();
    expect(thread.buffers.lentCount).toBe(40);
    const quick = new ScratchConnection(thread, { device });
    expect(quick.ask({ command: 'WRITE', data: pattern(300_000) }).error).toBe(0);
    expect(quick.ask({ command: 'READ', lengthBytes: 300_000 }).data.equals(pattern(300_000))).toBe(true);
    for (const client of slow) expect(client.reply(1).data).toHaveLength(4 * MIB);
    for (const client of slow) client.close();
    for (const client of slow) client.untilEnded();
    expect(thread.buffers.lentCount).toBe(0);
  });

  test('and is gone, is noticed while nothing is expected of it', () => {
    const client = new ScratchConnection(new ScratchThread());
    client.send(Buffer.concat(Array.from({ length: 300 }, () => client.encode({ command: 'FLUSH' }))));
    for (let turns = 0; turns < 5; turns += 1) client.thread.turn();
    expect(client.flushes).toHaveLength(256);
    client.close();
    expect(client.untilEnded()).toBe('connection-lost');
    for (const done of client.flushes) done(0);
    expect(client.thread.buffers.lentCount).toBe(0);
  });
});

test('two hundred connections of one thread are all served', () => {
  const thread = new ScratchThread();
  const device = scratchMemory();
  const clients = Array.from({ length: 200 }, () => new ScratchConnection(thread, { device }));
  for (const [index, client] of clients.entries()) {
    client.send(
      client.encode({ command: 'WRITE', offsetBytes: index * 70_000, data: pattern(70_000, index) }),
    );
  }
  for (const [index, client] of clients.entries()) {
    expect(client.reply(1).error).toBe(0);
    const read = { command: 'READ', offsetBytes: index * 70_000, lengthBytes: 70_000 } as const;
    expect(client.ask(read).data.equals(pattern(70_000, index))).toBe(true);
  }
});

test('a connection that is cut changes nothing any more, whatever was under way', () => {
  const thread = new ScratchThread();
  const device = scratchMemory();
  const client = new ScratchConnection(thread, { device });
  const write = client.encode({ command: 'WRITE', data: pattern(400_000) });
  client.send(write.subarray(0, 200_000));
  client.transmission.end('cut');
  expect([client.endReason, thread.buffers.lentCount]).toEqual(['cut', 0]);
  client.transmission.onReady();
  client.transmission.onDeadline();
  expect(device.extents({ offsetBytes: 0, lengthBytes: SCRATCH_BYTES })).toMatchObject([{ kind: 'zero' }]);
});
