import { createCipheriv, randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createXtsEngine } from './xts.ts';

const SECTOR = 512;
const key = randomBytes(64);

/** What OpenSSL's own XTS makes of it, sector by sector. */
function reference(firstSector: number, data: Uint8Array): Buffer {
  const sectors = Array.from({ length: data.byteLength / SECTOR }, (_, index) => {
    const iv = Buffer.alloc(16);
    iv.writeBigUInt64LE(BigInt(firstSector + index));
    const cipher = createCipheriv('aes-256-xts', key, iv);
    return cipher.update(data.subarray(index * SECTOR, (index + 1) * SECTOR));
  });
  return Buffer.concat(sectors);
}

function createEngine(scratchBytes = 576 * 1024) {
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
  const engine = createXtsEngine({ memory, scratch: { address: 65536, lengthBytes: scratchBytes } });
  let next = 1024 * 1024;
  const inside = (lengthBytes: number): Uint8Array => {
    const view = new Uint8Array(memory.buffer, next, lengthBytes);
    next += lengthBytes;
    return view;
  };
  return { engine, inside };
}

describe('the sector cipher', () => {
  test('any sectors, wherever the buffers are, are encrypted as OpenSSL does sector by sector, and back', () => {
    const { engine, inside } = createEngine(16 * 1024);
    const cipher = engine.cipher(key);
    const place = (isInside: boolean, buffer: Uint8Array): Uint8Array =>
      isInside ? buffer : new Uint8Array(buffer);
    const [sourceInside, targetInside] = [inside(40 * SECTOR), inside(40 * SECTOR)];
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 40 }),
        fc.integer({ min: 0, max: 2 ** 41 }),
        fc.boolean(),
        fc.boolean(),
        (sectors, firstSector, fromInside, intoInside) => {
          const plain = randomBytes(sectors * SECTOR);
          const from = place(fromInside, sourceInside).subarray(0, plain.byteLength);
          const into = place(intoInside, targetInside).subarray(0, plain.byteLength);
          from.set(plain);
          cipher.encrypt({ firstSector, from, into });
          expect(plain.equals(from)).toBe(true);
          expect(reference(firstSector, plain).equals(into)).toBe(true);
          cipher.decrypt({ firstSector, data: into });
          expect(plain.equals(into)).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
    cipher.close();
  });

  test('sector numbers go beyond 32 bits', () => {
    const { engine } = createEngine();
    const cipher = engine.cipher(key);
    const from = randomBytes(8 * SECTOR);
    const into = new Uint8Array(from.byteLength);
    cipher.encrypt({ firstSector: 2 ** 32 - 4, from, into });
    expect(reference(2 ** 32 - 4, from).equals(into)).toBe(true);
    cipher.close();
  });

  test('requests longer than a piece are right', () => {
    const { engine, inside } = createEngine();
    const cipher = engine.cipher(key);
    const into = inside(700 * 1024 + SECTOR);
    const plain = randomBytes(into.byteLength);
    cipher.encrypt({ firstSector: 3, from: plain, into });
    expect(reference(3, plain).equals(into)).toBe(true);
    cipher.decrypt({ firstSector: 3, data: into });
    expect(plain.equals(into)).toBe(true);
    cipher.close();
  });

  test('sectors that were never written read as zeros, whatever is beside them', () => {
    const { engine, inside } = createEngine();
    const cipher = engine.cipher(key);
    const sectors = 23;
    const data = inside(sectors * SECTOR);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: sectors, maxLength: sectors }), (pattern) => {
        const plain = randomBytes(sectors * SECTOR);
        cipher.encrypt({ firstSector: 9, from: plain, into: data });
        for (const [index, value] of pattern.entries()) {
          if (value % 2 === 0) continue;
          data.fill(0, index * SECTOR, (index + 1) * SECTOR);
          plain.fill(0, index * SECTOR, (index + 1) * SECTOR);
        }
        cipher.decrypt({ firstSector: 9, data });
        expect(plain.equals(data)).toBe(true);
      }),
    );
    data.fill(0);
    cipher.decrypt({ firstSector: 9, data });
    expect(data.every((byte) => byte === 0)).toBe(true);
    cipher.close();
  });

  test('a sector with a single byte that is not zero was written', () => {
    const { engine } = createEngine();
    const cipher = engine.cipher(key);
    for (const sectors of [1, 4]) {
      const data = new Uint8Array(sectors * SECTOR);
      data[SECTOR - 1] = 1;
      const stored = Buffer.from(data.subarray(0, SECTOR));
      cipher.decrypt({ firstSector: 0, data });
      expect(reference(0, data.subarray(0, SECTOR)).equals(stored)).toBe(true);
      expect(data.subarray(SECTOR).every((byte) => byte === 0)).toBe(true);
    }
    cipher.close();
  });

  test('memory is lent once at a time, and newly made when it is out', () => {
    const { engine } = createEngine();
    const first = engine.lend(4096);
    const second = engine.lend(4096);
    expect(second.buffer.buffer).not.toBe(first.buffer.buffer);
    first.giveBack();
    expect(engine.lend(4096).buffer.byteOffset).toBe(first.buffer.byteOffset);
  });

  test('a closed cipher, partial sectors and keys of another length are refused', () => {
    const { engine } = createEngine();
    const cipher = engine.cipher(key);
    expect(() => cipher.decrypt({ firstSector: 0, data: new Uint8Array(100) })).toThrow(RangeError);
    cipher.close();
    cipher.close();
    expect(() => cipher.decrypt({ firstSector: 0, data: new Uint8Array(512) })).toThrow('closed');
    expect(() => engine.cipher(new Uint8Array(32))).toThrow(RangeError);
  });
});
