import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { GIB, MIB } from '../core/sizes.ts';
import { compress } from './compress.ts';
import { decompress } from './decompress.ts';
import { createScratchDrive, createScratchHooks, fillScratch } from './scratch-drive.ts';
import type { ScratchDrive } from './scratch-drive.ts';

const PIECE_BYTES = 256 * 1024;

async function driveWith(bytes: Uint8Array, sizeBytes = bytes.length): Promise<ScratchDrive> {
  const drive = createScratchDrive('source', sizeBytes);
  await fillScratch(drive, 0, bytes);
  return drive;
}

async function pack(source: ScratchDrive, target: ScratchDrive, packing: 'gzip' | 'zstd'): Promise<void> {
  const slots = [Buffer.alloc(MIB), Buffer.alloc(MIB), Buffer.alloc(MIB)];
  const buffer = Buffer.alloc(PIECE_BYTES);
  await compress({ source, target, packing, buffer, slots }, createScratchHooks());
}

async function unpack(
  source: ScratchDrive,
  target: ScratchDrive,
  unpacking: 'gunzip' | 'unzstd' = 'gunzip',
): Promise<void> {
  const inputs = [Buffer.alloc(PIECE_BYTES), Buffer.alloc(PIECE_BYTES)] as const;
  const buffer = Buffer.alloc(PIECE_BYTES);
  await decompress({ source, target, unpacking, buffer, inputs }, createScratchHooks());
}

/** Bytes that look random and are the same each time. */
function noise(lengthBytes: number, seed = 1): Buffer {
  const blocks = [];
  for (let index = 0; index * 32 < lengthBytes; index += 1) {
    blocks.push(createHash('sha256').update(`${seed} ${index}`).digest());
  }
  return Buffer.concat(blocks).subarray(0, lengthBytes);
}

const NOISE = noise(300_000);
const TEXT = Buffer.from('The quick brown fox jumps over the lazy dog. '.repeat(50_000));

for (const packing of ['gzip', 'zstd'] as const) {
  test(`what ${packing} packs the format's reference unpacks, with holes and without`, async () => {
    const source = createScratchDrive('source', 5 * MIB + 777);
    await fillScratch(source, 1000 * 512, TEXT);
    await fillScratch(source, 5 * MIB, noise(777));
    const target = createScratchDrive('target', 8 * MIB);
    await pack(source, target, packing);
    const packed = trimZeros(target.content(), packing === 'gzip' ? 4 : 0);
    const unpacked =
      packing === 'gzip'
        ? execFileSync('gzip', ['-d', '-c'], { input: packed, maxBuffer: 64 * MIB })
        : zstdDecompressSync(packed);
    expect(unpacked.equals(source.content())).toBe(true);
  });

  test(`${packing} and back gives the same bytes`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 * MIB }),
        fc.array(fc.record({ at: fc.nat(5000), length: fc.integer({ min: 1, max: 200_000 }) }), {
          maxLength: 5,
        }),
        async (sizeBytes, stretches) => {
          const source = createScratchDrive('source', sizeBytes);
          for (const { at, length } of stretches) {
            const part = NOISE.subarray(0, Math.min(length, sizeBytes - at * 512));
            if (at * 512 < sizeBytes) await fillScratch(source, at * 512, part);
          }
          const packed = createScratchDrive('packed', 4 * MIB);
          const target = createScratchDrive('target', sizeBytes);
          await pack(source, packed, packing);
          await unpack(packed, target, packing === 'gzip' ? 'gunzip' : 'unzstd');
          expect(target.content().equals(source.content())).toBe(true);
        },
      ),
      { numRuns: 25 },
    );
  });

  test(`${packing} that does not fit says so`, async () => {
    const source = await driveWith(noise(100_000));
    const target = createScratchDrive('target', 99_000);
    await expect(pack(source, target, packing)).rejects.toThrow(
      `Drive source packed with ${packing} does not fit into the 99000 bytes of drive target.`,
    );
  });
}

test('packing a large hole reads nothing and gives all of its zeros', async () => {
  const source = createScratchDrive('source', 256 * MIB);
  const target = createScratchDrive('target', 4 * MIB);
  await pack(source, target, 'gzip');
  expect(source.counts.readBytes).toBe(0);
  const unpacked = gunzipSync(trimZeros(target.content(), 4));
  expect(unpacked.length).toBe(256 * MIB);
});

test('gunzip takes the stream of gzip itself, and of many members', async () => {
  const streams = [
    execFileSync('gzip', ['-c'], { input: TEXT, maxBuffer: 64 * MIB }),
    Buffer.concat([gzipSync(TEXT.subarray(0, 1_000_001)), gzipSync(''), gzipSync(TEXT.subarray(1_000_001))]),
    Buffer.concat(
      Array.from({ length: 500 }, (_, at) => gzipSync(TEXT.subarray(at * 4500, (at + 1) * 4500))),
    ),
  ];
  for (const stream of streams) {
    expect(gunzipSync(stream).equals(TEXT)).toBe(true);
    const target = createScratchDrive('target', TEXT.length);
    await unpack(await driveWith(stream), target);
    expect(target.content().equals(TEXT)).toBe(true);
  }
});

test('unzstd takes many frames and skips what decoders skip', async () => {
  const skippable = Buffer.concat([Buffer.from([0x52, 0x2a, 0x4d, 0x18, 5, 0, 0, 0]), Buffer.from('hello')]);
  const frames = [
    skippable,
    zstdCompressSync(TEXT.subarray(0, 999)),
    skippable,
    zstdCompressSync(TEXT.subarray(999)),
  ];
  const stream = Buffer.concat([...frames, skippable]);
  expect(zstdDecompressSync(stream).equals(TEXT)).toBe(true);
  const target = createScratchDrive('target', TEXT.length);
  await unpack(await driveWith(stream, stream.length + 100_000), target, 'unzstd');
  expect(target.content().equals(TEXT)).toBe(true);
});

test('zeros behind the stream are ignored, and a hole there is not read', async () => {
  const stream = gzipSync(TEXT);
  const source = await driveWith(stream, 100 * GIB);
  const target = createScratchDrive('target', TEXT.length);
  await unpack(source, target);
  expect(target.content().equals(TEXT)).toBe(true);
  expect(source.counts.readBytes).toBeLessThan(3 * stream.length + MIB);
});

test('anything else behind the stream is refused', async () => {
  const behind = 'is followed by something that is neither';
  const target = createScratchDrive('target', MIB);
  const atOnce = await driveWith(Buffer.concat([gzipSync('one'), Buffer.from('two')]));
  await expect(unpack(atOnce, target)).rejects.toThrow(behind);
  const later = await driveWith(gzipSync('one'), 10 * MIB);
  await fillScratch(later, 9 * MIB, Buffer.from('two'));
  await expect(unpack(later, target)).rejects.toThrow(behind);
  const zstd = await driveWith(Buffer.concat([zstdCompressSync('one'), Buffer.from('and two')]));
  await expect(unpack(zstd, target, 'unzstd')).rejects.toThrow(behind);
});

test('what is no stream is refused by name', async () => {
  const target = createScratchDrive('target', MIB);
  for (const source of [
    await driveWith(TEXT),
    createScratchDrive('source', GIB),
    await driveWith(Buffer.from([0x1f])),
  ]) {
    await expect(unpack(source, target)).rejects.toThrow('Drive source does not begin with a gzip stream.');
    await expect(unpack(source, target, 'unzstd')).rejects.toThrow(
      'Drive source does not begin with a zstd stream.',
    );
  }
});

for (const [unpacking, stream] of [
  ['gunzip', gzipSync(Buffer.concat([NOISE.subarray(0, 50_000), TEXT]))],
  ['unzstd', zstdCompressSync(Buffer.concat([NOISE.subarray(0, 50_000), TEXT]))],
] as const) {
  test(`${unpacking} of a stream that is cut anywhere fails, before a hole and at the end of the drive`, async () => {
    for (let length = 20; length < stream.length; length += 1000) {
      const cut = stream.subarray(0, length);
      const target = createScratchDrive('target', 4 * MIB);
      await expect(unpack(await driveWith(cut), target, unpacking)).rejects.toThrow('is incomplete');
      await expect(unpack(await driveWith(cut, GIB), target, unpacking)).rejects.toThrow(
        /is incomplete|is corrupt|does not fit/,
      );
    }
  });
}

test('unzstd of a stream that needs a dictionary says so', async () => {
  const magicAndDictionary = [0x28, 0xb5, 0x2f, 0xfd, 0b0010_0001, 42];
  const stream = Buffer.from([...magicAndDictionary, 5, 0b0010_1001, 0, 0, ...Buffer.from('hello')]);
  await expect(unpack(await driveWith(stream), createScratchDrive('target', MIB), 'unzstd')).rejects.toThrow(
    'The zstd stream of drive source needs a dictionary to unpack, which Drivebay does not have.',
  );
});

test('gunzip of a stream with a changed bit fails', async () => {
  const stream = gzipSync(NOISE.subarray(0, 50_000));
  for (let at = 16; at < stream.length; at += 997) {
    const changed = Buffer.from(stream);
    changed[at] = (changed[at] ?? 0) ^ 0x10;
    await expect(unpack(await driveWith(changed), createScratchDrive('target', MIB))).rejects.toThrow(
      /is corrupt|is incomplete|is followed by/,
    );
  }
});

test('a stream that unpacks to more than the drive stops at its end', async () => {
  const bomb = gzipSync(Buffer.alloc(200 * MIB));
  const target = createScratchDrive('target', 10 * MIB);
  await expect(unpack(await driveWith(bomb), target)).rejects.toThrow(
    'What drive source unpacks to does not fit into the 10485760 bytes of drive target.',
  );
  expect(target.counts.writes).toBe(0);
});

test('a stream of exactly the size of the drive fits', async () => {
  const target = createScratchDrive('target', 12_345);
  await unpack(await driveWith(gzipSync(NOISE.subarray(0, 12_345))), target);
  expect(target.content().equals(NOISE.subarray(0, 12_345))).toBe(true);
});

test('zeros that come out are not written', async () => {
  const target = createScratchDrive('target', 64 * MIB);
  await unpack(await driveWith(gzipSync(Buffer.concat([Buffer.alloc(32 * MIB), TEXT]))), target);
  expect(target.counts.writtenBytes).toBeLessThan(TEXT.length + 128 * 1024);
  expect(
    target
      .content()
      .subarray(32 * MIB, 32 * MIB + TEXT.length)
      .equals(TEXT),
  ).toBe(true);
});

test('zeros of the stream itself may be a hole of the source', async () => {
  // A stored block of zeros: deflate keeps it as it is.
  const stored = gzipSync(Buffer.concat([Buffer.alloc(60_000), NOISE.subarray(0, 1000)]), { level: 0 });
  const source = createScratchDrive('source', stored.length);
  for (let at = 0; at < stored.length; at += 4096) {
    const part = stored.subarray(at, at + 4096);
    if (part.some((byte) => byte !== 0)) await fillScratch(source, at, part);
  }
  const target = createScratchDrive('target', 61_000);
  await unpack(source, target);
  expect(target.content().subarray(60_000).equals(NOISE.subarray(0, 1000))).toBe(true);
});

test('a failing target ends the work with its error', async () => {
  const target = createScratchDrive('target', 4 * MIB);
  target.failAfterWrites = 1;
  await expect(unpack(await driveWith(gzipSync(TEXT)), target)).rejects.toThrow('EIO');
  await expect(pack(await driveWith(noise(3 * MIB)), target, 'gzip')).rejects.toThrow('EIO');
});

/** Drops the padding behind a stream, but for as many zeros as the stream itself may end with. */
function trimZeros(bytes: Buffer, ownZeros: number): Buffer {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return bytes.subarray(0, Math.min(bytes.length, end + ownZeros));
}
