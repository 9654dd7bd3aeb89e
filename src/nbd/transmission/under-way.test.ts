import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { BlockDevice, Maybe } from '../../blockdev/block-device.ts';
import { fault } from '../../blockdev/layers/fault.ts';
import { later } from '../../blockdev/scratch-devices.ts';
import { readStats } from '../../data-workers/connection-stats.ts';
import { NBD_CMD_FLAG, NBD_ERROR } from '../protocol-numbers.ts';
import type { Form, ReceivedReply } from '../scratch-requests.ts';
import { RequestMemory } from './request-memory.ts';
import { ScratchConnection, scratchMemory, ScratchThread } from './scratch-connection.ts';

const MIB = 2 ** 20;
const ROUNDS = 20_000;
const FORMS: readonly Form[] = ['simple', 'structured', 'extended'];

/** A device whose reads and writes end when the test says so, by their offsets. */
function heldDevice(below: BlockDevice): {
  device: BlockDevice;
  held: Map<number, () => void>;
  end(offsetBytes: number): void;
} {
  const held = new Map<number, () => void>();
  const hold = async (offsetBytes: number, work: () => Maybe<void>): Promise<void> => {
    await new Promise<void>((resolve) => {
      held.set(offsetBytes, resolve);
    });
    await work();
  };
  const device: BlockDevice = {
    ...later(below),
    sizeBytes: below.sizeBytes,
    read: (offsetBytes, into) => hold(offsetBytes, () => below.read(offsetBytes, into)),
    write: (offsetBytes, from) => hold(offsetBytes, () => below.write(offsetBytes, from)),
  };
  const end = (offsetBytes: number): void => {
    held.get(offsetBytes)?.();
    held.delete(offsetBytes);
  };
  return { device, held, end };
}

/** Runs the loop, and what was promised, until the condition holds. */
async function until(client: ScratchConnection, isMet: () => boolean): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) {
    client.take();
    if (isMet()) return;
    client.thread.turn();
    await nextTurn();
  }
  throw new Error('Nothing has come of it.');
}

async function replyTo(client: ScratchConnection, cookie: number): Promise<ReceivedReply> {
  await until(client, () => client.replies.has(cookie));
  const reply = client.replies.get(cookie);
  if (reply === undefined) throw new Error('There is no reply.');
  return reply;
}

async function ask(
  client: ScratchConnection,
  request: Parameters<ScratchConnection['encode']>[0],
): Promise<ReceivedReply> {
  client.send(client.encode(request));
  return await replyTo(client, client.lastCookie);
}

function connect(device: BlockDevice, form: Form = 'simple'): ScratchConnection {
  return new ScratchConnection(new ScratchThread(), { device, form, memory: new RequestMemory() });
}

describe.each(FORMS)('on a device that answers later, with %s replies', (form) => {
  test('what is written is read, small and large, and counted', async () => {
    const client = connect(later(scratchMemory()), form);
    for (const lengthBytes of [10, 10_000, 600_000, 32 * MIB]) {
      const data = Buffer.alloc(lengthBytes, `${lengthBytes} bytes `);
      const offsetBytes = 12_345;
      expect((await ask(client, { command: 'WRITE', offsetBytes, data })).error).toBe(0);
      expect((await ask(client, { command: 'READ', offsetBytes, lengthBytes })).data.equals(data)).toBe(true);
    }
    expect((await ask(client, { command: 'TRIM', offsetBytes: 12_345, lengthBytes: 10 })).error).toBe(0);
    const flags = NBD_CMD_FLAG.NO_HOLE;
    const zeros = { command: 'WRITE_ZEROES', offsetBytes: 12_355, lengthBytes: MIB, flags } as const;
    expect((await ask(client, zeros)).error).toBe(0);
    const read = await ask(client, { command: 'READ', offsetBytes: 12_345, lengthBytes: MIB + 10 });
    expect(read.data.equals(Buffer.alloc(MIB + 10))).toBe(true);
    const stats = readStats(client.stats);
    expect([stats.read.requests, stats.write.requests, stats.other.requests]).toEqual([5, 4, 2]);
  });

  test('requests are under way together, and each is answered when it is done', async () => {
    const { device, held, end } = heldDevice(scratchMemory());
    const client = connect(device, form);
    const offsets = [0, 4096, 8192, 600_000];
    const requests = offsets.map((offsetBytes) =>
      client.encode({ command: 'READ', offsetBytes, lengthBytes: offsetBytes === 8192 ? 590_000 : 4096 }),
    );
    client.send(
      Buffer.concat([
        ...requests,
        client.encode({ command: 'WRITE', offsetBytes: MIB, data: Buffer.from('x') }),
      ]),
    );
    await until(client, () => held.size === 5);
    for (const offsetBytes of [MIB, 8192, 600_000, 0, 4096]) {
      const seen = client.order.length;
      end(offsetBytes);
      await until(client, () => client.order.length > seen);
    }
    expect(client.order).toEqual([5, 3, 4, 1, 2]);
  });

  test('what many requests, small and large, have read together comes whole, also to a client that takes it slowly', async () => {
    const below = scratchMemory();
    // The first do not fit into the socket, and are half sent when the others follow.
    const sizes = [
      ...Array<number>(15).fill(30_000),
      40_000,
      100,
      700_000,
      65_536,
      1,
      33_000,
      2 * MIB,
      32_767,
    ];
    const reads = sizes.map((lengthBytes, index) => ({ offsetBytes: index * 2 * MIB, lengthBytes }));
    const written = reads.map(({ lengthBytes }, index) => Buffer.alloc(lengthBytes, `read ${index} `));
    for (const [index, data] of written.entries()) await below.write(index * 2 * MIB, data);
    const { device, held, end } = heldDevice(below);
    const client = connect(device, form);
    const requests = reads.map((read) => client.encode({ command: 'READ', ...read }));
    client.send(Buffer.concat(requests), false);
    await until(client, () => held.size === reads.length);
    for (const { offsetBytes } of reads.slice(0, 15)) end(offsetBytes);
    for (let turn = 0; turn < 10; turn += 1) {
      await nextTurn();
      client.thread.turn();
    }
    for (const { offsetBytes } of reads) end(offsetBytes);
    const takeSome = (): boolean => {
      client.take(1000);
      return client.order.length === reads.length;
    };
    await until(client, takeSome);
    const received = reads.map((_, index) => client.replies.get(index + 1)?.data);
    expect(received.map((data, index) => data?.equals(written[index] ?? Buffer.alloc(0)))).toEqual(
      reads.map(() => true),
    );
  });

  test('a request that fails is answered with its error, and others are not', async () => {
    const device = fault(scratchMemory(), [
      { call: 'read', nth: 1, code: 'EIO' },
      { call: 'write', nth: 1, code: 'EDQUOT' },
    ]);
    const client = connect(later(device), form);
    expect((await ask(client, { command: 'READ', lengthBytes: 10 })).error).toBe(NBD_ERROR.EIO);
    expect((await ask(client, { command: 'READ', lengthBytes: 10 })).error).toBe(0);
    expect((await ask(client, { command: 'WRITE', data: Buffer.alloc(10) })).error).toBe(NBD_ERROR.ENOSPC);
    expect((await ask(client, { command: 'WRITE', data: Buffer.alloc(10) })).error).toBe(0);
  });
});

test('a FUA write waits for its data first, and for a flush then', async () => {
  const { device, held, end } = heldDevice(scratchMemory());
  const client = connect(device);
  client.send(client.encode({ command: 'WRITE', data: Buffer.from('abc'), flags: NBD_CMD_FLAG.FUA }));
  await until(client, () => held.size === 1);
  expect(client.flushes).toHaveLength(0);
  end(0);
  await until(client, () => client.flushes.length === 1);
  expect(client.replies.size).toBe(0);
  client.flushes[0]?.(0);
  expect((await replyTo(client, 1)).error).toBe(0);
});

test('a connection that is cut is settled only when the device is through with its writes', async () => {
  const below = scratchMemory();
  const { device, held, end } = heldDevice(below);
  const client = connect(device);
  client.send(client.encode({ command: 'WRITE', data: Buffer.from('late') }));
  await until(client, () => held.size === 1);
  client.transmission.end('cut');
  let isSettled = false;
  const settled = client.transmission.settled.then(() => {
    isSettled = true;
  });
  await nextTurn();
  expect([client.endReason, isSettled]).toEqual(['cut', false]);
  end(0);
  await settled;
  const bytes = Buffer.alloc(4);
  await below.read(0, bytes);
  expect(bytes.toString()).toBe('late');
});

test('a device that can never be used again ends the connection, so that the client connects anew', async () => {
  const device = fault(scratchMemory(), [{ call: 'write', nth: 2, code: 'ESHUTDOWN' }]);
  const client = connect(later(device));
  expect((await ask(client, { command: 'WRITE', data: Buffer.from('a') })).error).toBe(0);
  client.send(client.encode({ command: 'WRITE', data: Buffer.from('b') }));
  await until(client, () => client.endReason === 'cut');
  expect(client.replies.size).toBe(1);
});

test('a client that leaves gets what it has asked for before', async () => {
  const { device, held, end } = heldDevice(scratchMemory());
  const client = connect(device);
  client.send(client.encode({ command: 'READ', lengthBytes: 10 }));
  client.send(client.encode({ command: 'DISC' }));
  await until(client, () => held.size === 1);
  expect(client.endReason).toBeNull();
  end(0);
  expect((await replyTo(client, 1)).error).toBe(0);
  await until(client, () => client.endReason === 'disconnected');
});

test('what is under way is bounded, in requests and in bytes, and the rest follows', async () => {
  const { device, held, end } = heldDevice(scratchMemory());
  for (const [lengthBytes, most] of [
    [16, 128],
    [MIB, 8],
  ] as const) {
    const client = connect(device);
    const requests = Array.from({ length: 200 }, (_, index) =>
      client.encode({ command: 'READ', offsetBytes: index * 512, lengthBytes }),
    );
    client.send(Buffer.concat(requests));
    await until(client, () => held.size === most);
    for (let turn = 0; turn < 20; turn += 1) await nextTurn();
    expect(held.size).toBe(most);
    await until(client, () => {
      for (const offsetBytes of held.keys()) end(offsetBytes);
      return client.replies.size === 200;
    });
    client.close();
  }
});

test('while the pool is low only what is taken already is written', async () => {
  const device = scratchMemory();
  void device.write(0, Buffer.alloc(4096, 1));
  const client = new ScratchConnection(new ScratchThread(), {
    device: later(device),
    memory: new RequestMemory(),
    isPoolLow: () => true,
  });
  const data = Buffer.alloc(512, 2);
  expect((await ask(client, { command: 'WRITE', data })).error).toBe(0);
  expect((await ask(client, { command: 'WRITE', offsetBytes: MIB, data })).error).toBe(NBD_ERROR.ENOSPC);
});
