import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { BlockDevice, Range } from '../block-device.ts';
import { MEMORY_PAGE_BYTES, memoryDevice } from '../memory/memory-device.ts';
import type { MemoryContent } from '../memory/memory-device.ts';
import { later, scratchEngine } from '../scratch-devices.ts';
import { byteAccess } from './byte-access.ts';
import { createDriveLock, DRIVE_LOCK_BYTES } from './drive-lock.ts';
import { fault } from './fault.ts';
import { luks } from './luks.ts';

const engine = scratchEngine();
const volumeKey = randomBytes(64);
const PAYLOAD = 4096;
const newLock = () => createDriveLock(new SharedArrayBuffer(DRIVE_LOCK_BYTES));

function memory(sizeBytes: number, capacityBytes = 2 ** 30): { content: MemoryContent; device: BlockDevice } {
  const content = { sizeBytes, pages: new Map<number, Uint8Array>() };
  return { content, device: memoryDevice(content, { capacityBytes, usedBytes: 0 }) };
}
const encrypted = (device: BlockDevice) =>
  luks(device, { cipher: engine.cipher(volumeKey), payloadOffsetBytes: PAYLOAD });
const code = (expected: string) => expect.objectContaining({ code: expected });

/** Counts the bytes that pass through, to see what reaches the device below. */
function counting(device: BlockDevice) {
  const seen: { call: string; buffer: Uint8Array }[] = [];
  const watched: BlockDevice = Object.assign(fault(device, []), {
    read: (offsetBytes: number, into: Uint8Array) => {
      seen.push({ call: 'read', buffer: into });
      return device.read(offsetBytes, into);
    },
    write: (offsetBytes: number, from: Uint8Array) => {
      seen.push({ call: 'write', buffer: from });
      return device.write(offsetBytes, from);
    },
  });
  return { watched, seen };
}

test('the n-th call of an operation fails with the planned code, and the others are done', async () => {
  const { device } = memory(100);
  const faulty = fault(device, [
    { call: 'write', nth: 2, code: 'EIO' },
    { call: 'flush', nth: 1, code: 'ENOSPC' },
  ]);
  await faulty.write(0, Buffer.from('a'));
  expect(() => faulty.write(1, Buffer.from('b'))).toThrow(code('EIO'));
  await faulty.write(2, Buffer.from('c'));
  expect(() => faulty.flush()).toThrow(code('ENOSPC'));
  await faulty.flush();
  const bytes = Buffer.alloc(3);
  await faulty.read(0, bytes);
  expect(bytes).toEqual(Buffer.from('a\0c'));
});

test('a write beyond the capacity fails with ENOSPC, as does claiming space, and giving space back helps', async () => {
  const { device } = memory(2 ** 20, 4 * MEMORY_PAGE_BYTES);
  const volume = byteAccess(encrypted(device), { sizeBytes: 2 ** 20 - PAYLOAD, lock: newLock() });
  await volume.write(0, new Uint8Array(3 * MEMORY_PAGE_BYTES).fill(1));
  const large = { offsetBytes: 0, lengthBytes: 5 * MEMORY_PAGE_BYTES };
  expect(() => volume.reserve(large)).toThrow(code('ENOSPC'));
  expect(() => volume.write(8 * MEMORY_PAGE_BYTES, new Uint8Array(2 * MEMORY_PAGE_BYTES))).toThrow(
    code('ENOSPC'),
  );
  await volume.discard({ offsetBytes: 0, lengthBytes: 3 * MEMORY_PAGE_BYTES });
  await volume.write(8 * MEMORY_PAGE_BYTES, new Uint8Array(2 * MEMORY_PAGE_BYTES));
});

test('claiming space that is not there gives back what was claimed on the way, and leaves data alone', async () => {
  for (const answer of [(device: BlockDevice) => device, later]) {
    const { device } = memory(PAYLOAD + 16 * MEMORY_PAGE_BYTES);
    const discarded: Range[] = [];
    const full = Object.assign(fault(device, [{ call: 'reserve', nth: 1, code: 'ENOSPC' }]), {
      discard: (range: Range) => {
        discarded.push(range);
      },
    });
    const sizeBytes = 16 * MEMORY_PAGE_BYTES;
    const lock = createDriveLock(new SharedArrayBuffer(DRIVE_LOCK_BYTES), 'event-loop');
    const volume = byteAccess(encrypted(answer(full)), { sizeBytes, lock });
    await volume.write(4 * MEMORY_PAGE_BYTES, new Uint8Array(MEMORY_PAGE_BYTES).fill(1));
    const claim = async () => await volume.reserve({ offsetBytes: 700, lengthBytes: 8 * MEMORY_PAGE_BYTES });
    await expect(claim).rejects.toEqual(code('ENOSPC'));
    expect(discarded).toEqual([
      { offsetBytes: PAYLOAD + 512, lengthBytes: 4 * MEMORY_PAGE_BYTES - 512 },
      { offsetBytes: PAYLOAD + 5 * MEMORY_PAGE_BYTES, lengthBytes: 3 * MEMORY_PAGE_BYTES + 1024 },
    ]);
  }
});

test('the lock is free again after a write that failed', async () => {
  const { device } = memory(8192);
  const faulty = fault(encrypted(device), [{ call: 'write', nth: 1, code: 'EIO' }]);
  const volume = byteAccess(faulty, { sizeBytes: 4000, lock: newLock() });
  expect(() => volume.write(5, Buffer.from('x'))).toThrow(code('EIO'));
  await volume.write(5, Buffer.from('x'));
  await volume.write(0, new Uint8Array(512));
});

test('whole sectors pass through byte access without being copied', async () => {
  const { watched, seen } = counting(encrypted(memory(16_384).device));
  const volume = byteAccess(watched, { sizeBytes: 12_000, lock: newLock() });
  const buffer = new Uint8Array(1024);
  await volume.write(512, buffer);
  await volume.read(512, buffer);
  expect(seen.map(({ call }) => call)).toEqual(['write', 'read']);
  expect(seen.every((entry) => entry.buffer === buffer)).toBe(true);
});

test('what is stored is not what was written, and zeroing gives the space back', async () => {
  const { device, content } = memory(2 ** 20);
  const sectors = encrypted(device);
  const plain = new Uint8Array(64 * 1024).fill(0x61);
  await sectors.write(0, plain);
  const stored = Buffer.alloc(64 * 1024);
  await device.read(PAYLOAD, stored);
  expect(stored.includes('aaaaaaaa')).toBe(false);
  expect(content.pages.size).toBe(16);
  await sectors.zero({ offsetBytes: 0, lengthBytes: 64 * 1024 });
  expect(content.pages.size).toBe(0);
});

test('the end of the last sector never shows what was there before a shrink', async () => {
  const { device } = memory(PAYLOAD + 4096);
  const sectors = encrypted(device);
  const volume = byteAccess(sectors, { sizeBytes: 4096, lock: newLock() });
  await volume.write(0, new Uint8Array(4096).fill(7));
  await volume.resize(100);
  expect(sectors.sizeBytes).toBe(512);
  const sector = new Uint8Array(512);
  await sectors.read(0, sector);
  expect(sector).toEqual(new Uint8Array(512).fill(7, 0, 100));
});

test('a shrink that a crash cut short leaves nothing to be read after growing', async () => {
  const { device } = memory(PAYLOAD + 4096);
  const before = byteAccess(encrypted(device), { sizeBytes: 4096, lock: newLock() });
  await before.write(0, new Uint8Array(4096).fill(7));
  // The metadata knows of the smaller size, and the volume was not cut yet.
  const volume = byteAccess(encrypted(device), { sizeBytes: 1000, lock: newLock() });
  await volume.resize(4096);
  const bytes = new Uint8Array(4096);
  await volume.read(0, bytes);
  expect(bytes).toEqual(new Uint8Array(4096).fill(7, 0, 1000));
});

test('zeroing all of a sector in parts gives its space back too', async () => {
  const { device, content } = memory(PAYLOAD + MEMORY_PAGE_BYTES);
  const volume = byteAccess(encrypted(device), { sizeBytes: MEMORY_PAGE_BYTES, lock: newLock() });
  await volume.write(0, new Uint8Array(512).fill(1));
  await volume.zero({ offsetBytes: 0, lengthBytes: 100 });
  await volume.zero({ offsetBytes: 100, lengthBytes: 412 });
  const [page] = content.pages.values();
  expect(page?.every((byte) => byte === 0)).toBe(true);
});

test('a device that is too small for the drive is refused', () => {
  expect(() => byteAccess(memory(100).device, { sizeBytes: 101, lock: newLock() })).toThrow(RangeError);
});

test('an opening that the drive has outgrown zeroes nothing behind its own end', async () => {
  const blocks = encrypted(memory(PAYLOAD + 4096).device);
  const lock = newLock();
  const outgrown = byteAccess(blocks, { sizeBytes: 700, lock, mayGrowElsewhere: true });
  const grown = byteAccess(blocks, { sizeBytes: 1024, lock });
  await grown.write(0, Buffer.alloc(1024, 7));
  await outgrown.zero({ offsetBytes: 512, lengthBytes: 188 });
  await outgrown.discard({ offsetBytes: 0, lengthBytes: 700 });
  const behind = Buffer.alloc(324);
  await grown.read(700, behind);
  expect(behind.equals(Buffer.alloc(324, 7))).toBe(true);
});

test('an encrypted read from a device over a network is one read below', async () => {
  const { watched, seen } = counting(memory(PAYLOAD + 2 ** 20).device);
  const volume = encrypted(Object.assign(watched, { isRemote: true }));
  const data = randomBytes(2 ** 20);
  await volume.write(0, data);
  seen.length = 0;
  const found = Buffer.alloc(data.byteLength);
  await volume.read(0, found);
  expect(found.equals(data)).toBe(true);
  expect(seen.map(({ call }) => call)).toEqual(['read']);
});
