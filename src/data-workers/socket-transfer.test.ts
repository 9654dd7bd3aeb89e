import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { noise } from '../../test/helpers/sample-bytes.ts';
import type { MemorySpan } from '../runtime/socket-calls.ts';
import { scratchLoop, scratchMemory, socketPair } from './scratch-sockets.ts';
import { receiveInto, sendFrom, TRANSFER_TIMEOUT_MS } from './socket-transfer.ts';
import type { SpanSource } from './socket-transfer.ts';

/** The parts of a span with these lengths, one after the other. */
function cut({ address }: MemorySpan, lengths: readonly number[]): MemorySpan[] {
  let at = address;
  return lengths.map((lengthBytes) => {
    const part = { address: at, lengthBytes };
    at += lengthBytes;
    return part;
  });
}

function sourceOf(spans: readonly MemorySpan[]): SpanSource {
  const rest = [...spans];
  return () => rest.shift() ?? null;
}

describe('receiving', () => {
  test.each([
    ['one span', [300_000]],
    ['spans of any length', [1, 4096, 100_000, 195_903]],
    ['an exact multiple of one length', [100_000, 100_000, 100_000]],
  ])('fills %s in order, and takes not a byte more', async (_what, lengths) => {
    await using pair = await socketPair();
    using thread = scratchLoop();
    const { bytes, span } = scratchMemory(300_000);
    const data = noise('received', 300_100);
    pair.client.write(data);
    const full: number[] = [];
    const onFull = (index: number): void => {
      const end = lengths.slice(0, index + 1).reduce((sum, length) => sum + length, 0);
      expect(bytes.subarray(0, end).equals(data.subarray(0, end))).toBe(true);
      full.push(index);
    };
    const work = receiveInto(thread.loop, pair.descriptor, { spans: cut(span, lengths), onFull });
    expect(await thread.during(work)).toBe(300_000);
    expect(bytes.equals(data.subarray(0, 300_000))).toBe(true);
    expect(full).toEqual(lengths.map((_, index) => index));
    const behind = scratchMemory(100);
    expect(await thread.during(receiveInto(thread.loop, pair.descriptor, { spans: [behind.span] }))).toBe(
      100,
    );
    expect(behind.bytes.equals(data.subarray(300_000))).toBe(true);
  });

  test('goes on when bytes come one by one', async () => {
    await using pair = await socketPair();
    using thread = scratchLoop();
    const { bytes, span } = scratchMemory(50);
    const data = noise('drip', 50);
    pair.client.setNoDelay(true);
    const work = receiveInto(thread.loop, pair.descriptor, { spans: [span] });
    const drip = (async () => {
      for (const byte of data) {
        pair.client.write(Buffer.of(byte));
        await sleep(1);
      }
    })();
    expect(await thread.during(work)).toBe(50);
    await drip;
    expect(bytes.equals(data)).toBe(true);
  });

  test('ends early where the client ends', async () => {
    await using pair = await socketPair();
    using thread = scratchLoop();
    pair.client.end(noise('short', 1000));
    const { span } = scratchMemory(2000);
    expect(await thread.during(receiveInto(thread.loop, pair.descriptor, { spans: [span] }))).toBe(1000);
  });

  test('ends early when the connection breaks', async () => {
    await using pair = await socketPair();
    using thread = scratchLoop();
    const { span } = scratchMemory(2000);
    const work = receiveInto(thread.loop, pair.descriptor, { spans: [span] });
    pair.client.resetAndDestroy();
    expect(await thread.during(work)).toBe(0);
  });

  test('of a slow client ends after the limit with what has come, and the next one begins behind it', async () => {
    await using pair = await socketPair();
    using thread = scratchLoop();
    const { bytes, span } = scratchMemory(2000);
    const data = noise('slow', 2000);
    pair.client.write(data.subarray(0, 700));
    const fromMs = performance.now();
    expect(await thread.during(receiveInto(thread.loop, pair.descriptor, { spans: [span] }))).toBe(700);
    expect(performance.now() - fromMs).toBeGreaterThanOrEqual(TRANSFER_TIMEOUT_MS - 1);
    pair.client.write(data.subarray(700));
    const rest = { address: span.address + 700, lengthBytes: 1300 };
    expect(await thread.during(receiveInto(thread.loop, pair.descriptor, { spans: [rest] }))).toBe(1300);
    expect(bytes.equals(data)).toBe(true);
  });
});

describe('sending', () => {
  test('sends everything in order, however little the socket takes at a time', async () => {
    await using pair = await socketPair();
    using thread = scratchLoop();
    const sizeBytes = 20_000_000;
    const { bytes, span } = scratchMemory(sizeBytes);
    noise('sent', sizeBytes).copy(bytes);
    const parts: Buffer[] = [];
    pair.client.on('data', (part: Buffer) => void parts.push(part));
    const lengths = [1, 5_000_000, 999_999, 10_000_000, 4_000_000];
    const work = sendFrom(thread.loop, pair.descriptor, sourceOf(cut(span, lengths)));
    expect(await thread.during(work)).toEqual({ sentBytes: sizeBytes, isBroken: false, error: null });
    while (parts.reduce((sum, part) => sum + part.byteLength, 0) < sizeBytes) await sleep(1);
    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
  });

  test('asks for the next span only when the socket has taken the one before', async () => {
    await using pair = await socketPair();
    using thread = scratchLoop();
    const { bytes, span } = scratchMemory(1_000_000);
    const parts: Buffer[] = [];
    pair.client.on('data', (part: Buffer) => void parts.push(part));
    let round = 0;
    // One memory for all, as a thread has it: what is overwritten too early arrives wrong.
    const source = (): MemorySpan | null => {
      round += 1;
      bytes.fill(round);
      return round > 20 ? null : span;
    };
    const { sentBytes } = await thread.during(sendFrom(thread.loop, pair.descriptor, source));
    expect(sentBytes).toBe(20_000_000);
    while (parts.reduce((sum, part) => sum + part.byteLength, 0) < sentBytes) await sleep(1);
    const all = Buffer.concat(parts);
    for (let index = 0; index < 20; index += 1) {
      const part = all.subarray(index * 1_000_000, (index + 1) * 1_000_000);
      expect(part.every((byte) => byte === index + 1)).toBe(true);
    }
  });

  test('says what the source has thrown, and what was sent before', async () => {
    await using pair = await socketPair();
    using thread = scratchLoop();
    const { span } = scratchMemory(1000);
    const error = new Error('EIO');
    let calls = 0;
    const source = (): MemorySpan => {
      calls += 1;
      if (calls > 1) throw error;
      return span;
    };
    const outcome = await thread.during(sendFrom(thread.loop, pair.descriptor, source));
    expect(outcome).toEqual({ sentBytes: 1000, isBroken: false, error });
  });

  test('to a client that is gone says that the connection is broken', async () => {
    await using pair = await socketPair();
    using thread = scratchLoop();
    const { span } = scratchMemory(100_000);
    pair.client.resetAndDestroy();
    await once(pair.client, 'close');
    const outcome = await thread.during(sendFrom(thread.loop, pair.descriptor, () => span));
    expect(outcome).toMatchObject({ isBroken: true, error: null });
  });

  test('to a client that takes nothing ends after the limit, and the next one goes on where it was', async () => {
    await using pair = await socketPair();
    using thread = scratchLoop();
    const sizeBytes = 30_000_000;
    const { bytes, span } = scratchMemory(sizeBytes);
    noise('slow', sizeBytes).copy(bytes);
    const { sentBytes, isBroken } = await thread.during(
      sendFrom(thread.loop, pair.descriptor, sourceOf([span])),
    );
    expect(isBroken).toBe(false);
    expect(sentBytes).toBeLessThan(sizeBytes);
    const parts: Buffer[] = [];
    pair.client.on('data', (part: Buffer) => void parts.push(part));
    const rest = { address: span.address + sentBytes, lengthBytes: sizeBytes - sentBytes };
    const second = await thread.during(sendFrom(thread.loop, pair.descriptor, sourceOf([rest])));
    expect(second.sentBytes).toBe(rest.lengthBytes);
    while (parts.reduce((sum, part) => sum + part.byteLength, 0) < sizeBytes) await sleep(1);
    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
  });

  test('to a client that takes nothing holds up nobody else', async () => {
    await using slow = await socketPair();
    await using fast = await socketPair();
    using thread = scratchLoop();
    const { span } = scratchMemory(10_000_000);
    fast.client.resume();
    const toSlow = sendFrom(thread.loop, slow.descriptor, sourceOf([span, span]));
    const fromMs = performance.now();
    expect(await thread.during(sendFrom(thread.loop, fast.descriptor, sourceOf([span])))).toMatchObject({
      sentBytes: 10_000_000,
    });
    expect(performance.now() - fromMs).toBeLessThan(TRANSFER_TIMEOUT_MS);
    await thread.during(toSlow);
  });
});
