import { createCipheriv, randomBytes } from 'node:crypto';
import { createXtsEngine } from '../src/crypto/xts.ts';
import { run } from './lib/command.ts';
import { inTurn, secondsOf } from './lib/measure.ts';
import type { Benchmark } from './lib/measure.ts';

const PIECE_BYTES = 256 * 1024;
const SECTOR_BYTES = 512;
const MIB = 1024 * 1024;

/** The cipher on 512-byte sectors, in one thread. */
export const cipher: Benchmark = {
  name: 'cipher',
  async run(context) {
    const key = randomBytes(64);
    const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
    const engine = createXtsEngine({ memory, scratch: { address: 65536, lengthBytes: 512 * 1024 } });
    const ours = engine.cipher(key);
    const piece = Buffer.from(memory.buffer, 1024 * 1024, PIECE_BYTES);
    const fast = (): Promise<number> =>
      rate(1024, () => ours.encrypt({ firstSector: 7, from: piece, into: piece }));
    const slow = (): Promise<number> => rate(32, () => encryptSectors(key, piece));
    const sectors = await inTurn(context.runs, { ours: fast, peer: slow });
    const library = await inTurn(context.runs, { ours: fast, peer: speedOfOpenssl });
    const common = { work: 'AES-XTS on 512-byte sectors', unit: 'MiB/s', better: 'higher' } as const;
    return [
      { ...common, peerName: 'one createCipheriv per sector', target: 8, ...sectors },
      { ...common, peerName: 'openssl speed, aes-256-xts, 16 KiB', target: null, ...library },
    ];
  },
};

async function rate(pieces: number, work: () => void): Promise<number> {
  const seconds = await secondsOf(async () => {
    for (let piece = 0; piece < pieces; piece += 1) work();
    await Promise.resolve();
  });
  return (pieces * PIECE_BYTES) / MIB / seconds;
}

function encryptSectors(key: Uint8Array, piece: Buffer): void {
  const tweak = Buffer.alloc(16);
  for (let offset = 0; offset < piece.byteLength; offset += SECTOR_BYTES) {
    tweak.writeUInt32LE(7 + offset / SECTOR_BYTES);
    createCipheriv('aes-256-xts', key, tweak).update(piece.subarray(offset, offset + SECTOR_BYTES));
  }
}

async function speedOfOpenssl(): Promise<number> {
  const output = await run('openssl', [
    'speed',
    '-mr',
    '-seconds',
    '1',
    '-bytes',
    '16384',
    '-evp',
    'aes-256-xts',
  ]);
  const bytesPerSecond = Number(/^\+F:.*:([0-9.]+)$/m.exec(output)?.[1]);
  return bytesPerSecond / MIB;
}
