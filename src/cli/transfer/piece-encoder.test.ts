import { expect, test } from 'vitest';
import { noise } from '../../../test/helpers/sample-bytes.ts';
import { PieceEncoder, type GzipMode } from './piece-encoder.ts';

const MIB = 1024 * 1024;
const COMPRESSIBLE = Buffer.from('all work and no play '.repeat(50_000)).subarray(0, MIB);

/** A line of a certain pace, on a clock that only moves when something is sent. */
async function sendPieces(options: {
  mode?: GzipMode;
  piece: Buffer;
  msPerMib: number;
  pieces: number;
}): Promise<boolean[]> {
  let now = 0;
  // The first answer ends the wait for it; this clock knows no other time.
  const encoder = new PieceEncoder(options.mode ?? 'auto', {
    nowMs: () => now,
    sleep: (_delayMs, signal) => new Promise((resolve) => signal?.addEventListener('abort', () => resolve())),
  });
  const sent: boolean[] = [];
  for (let piece = 0; piece < options.pieces; piece++) {
    await encoder.deliver(options.piece, async ({ body, isGzip }) => {
      now += (body.length / MIB) * options.msPerMib;
      sent.push(isGzip);
    });
  }
  return sent;
}

test('on a line that takes no time nothing is packed', async () => {
  const sent = await sendPieces({ piece: COMPRESSIBLE, msPerMib: 0, pieces: 200 });
  expect(sent.some(Boolean)).toBe(false);
});

test('on a slow line everything after the first piece is packed, but for a probe now and then', async () => {
  const sent = await sendPieces({ piece: COMPRESSIBLE, msPerMib: 1000, pieces: 130 });
  expect(sent.slice(0, 3)).toEqual([false, true, true]);
  expect(sent.filter((isGzip) => !isGzip)).toHaveLength(3);
});

test('what does not pack travels as it is on any line', async () => {
  const sent = await sendPieces({ piece: noise('incompressible', MIB), msPerMib: 1000, pieces: 20 });
  expect(sent.some(Boolean)).toBe(false);
});

test('always and never do not measure', async () => {
  expect(await sendPieces({ mode: 'always', piece: COMPRESSIBLE, msPerMib: 0, pieces: 2 })).toEqual([
    true,
    true,
  ]);
  expect(await sendPieces({ mode: 'never', piece: COMPRESSIBLE, msPerMib: 1000, pieces: 2 })).toEqual([
    false,
    false,
  ]);
});

test('packing that turns out slower than sending as it is ends at once', async () => {
  let now = 0;
  const encoder = new PieceEncoder('auto', { nowMs: () => now, sleep: () => Promise.resolve() });
  const sent: boolean[] = [];
  for (let piece = 0; piece < 6; piece++) {
    await encoder.deliver(COMPRESSIBLE, async ({ isGzip }) => {
      sent.push(isGzip);
      now += isGzip ? 5000 : 1000;
    });
  }
  expect(sent).toEqual([false, true, false, false, false, false]);
});
