import { randomBytes } from 'node:crypto';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MIB } from '../core/sizes.ts';
import { openLuks1 } from '../crypto/luks1.ts';
import { volumePath } from './file/volume-path.ts';
import { DRIVE_LOCK_BYTES } from './layers/drive-lock.ts';
import { createVolume, fillHoles, openVolume, resizeVolume } from './luks-volume.ts';
import type { Volume } from './volume.ts';
import { runTool } from '../crypto/scratch-tools.ts';
import { SCRATCH_DRIVE, scratchEngine, scratchFilePool } from './scratch-devices.ts';

const SIZE = 3 * MIB + 512;
const engine = scratchEngine();
const volumeKey = randomBytes(64);
const passphrase = 'Abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG';

let scratch: ReturnType<typeof scratchFilePool>;
beforeEach(() => {
  scratch = scratchFilePool();
});
afterEach(async () => {
  await scratch.dispose();
});

async function create(sizeBytes: number, encryption: { volumeKey: Uint8Array; passphrase: string } | null) {
  await createVolume(scratch.pool, { volumeName: SCRATCH_DRIVE, sizeBytes, encryption });
}

async function open(sizeBytes: number, key: Uint8Array | null = volumeKey): Promise<Volume> {
  const lock = new SharedArrayBuffer(DRIVE_LOCK_BYTES);
  const spec = { volumeName: SCRATCH_DRIVE, sizeBytes, volumeKey: key, lock };
  return await openVolume(scratch.pool, spec, { engine, access: 'read-write' });
}

async function contentOf(volume: Volume): Promise<Buffer> {
  const bytes = Buffer.alloc(volume.sizeBytes, 0xee);
  await volume.read(0, bytes);
  return bytes;
}

const volumeFile = (): string => volumePath(scratch.directory, SCRATCH_DRIVE);
const takenBytes = (): number => statSync(volumeFile()).blocks * 512;

describe('volumes', () => {
  test('a new encrypted volume takes little more than its keyslot, and its key is what its passphrase opens', async () => {
    await create(2 ** 40, { volumeKey, passphrase });
    expect(takenBytes()).toBeLessThan(MIB);
    const header = Buffer.alloc(2 * MIB);
    const device = await scratch.pool.open(SCRATCH_DRIVE, 'read-only');
    await device.read(0, header);
    await device.close();
    expect(Buffer.from(openLuks1({ header, passphrase }).volumeKey).equals(volumeKey)).toBe(true);
  });

  test('a drive of any number of bytes has exactly that size, encrypted or not', async () => {
    for (const encryption of [{ volumeKey, passphrase }, null]) {
      await create(1001, encryption);
      const volume = await open(1001, encryption?.volumeKey ?? null);
      expect(volume.sizeBytes).toBe(1001);
      await volume.write(1000, Buffer.from('z'));
      expect((await contentOf(volume)).subarray(990)).toEqual(Buffer.from('\0\0\0\0\0\0\0\0\0\0z'));
      await resizeVolume(volume, 2000);
      expect(volume.sizeBytes).toBe(2000);
      await volume.close();
    }
  });

  test('a volume that something has cut off is not opened', async () => {
    for (const encryption of [{ volumeKey, passphrase }, null]) {
      await create(1000, encryption);
      const opening = open(2000, encryption?.volumeKey ?? null);
      await expect(opening).rejects.toMatchObject({
        code: 'EIO',
        message: expect.stringContaining('cut off'),
      });
    }
  });

  test('filling the holes of a drive that is not encrypted does nothing', async () => {
    await create(SIZE, null);
    const volume = await open(SIZE, null);
    expect(await fillHoles(volume, { offsetBytes: 0, lengthBytes: SIZE })).toBe(0);
    expect(takenBytes()).toBe(0);
    await volume.close();
  });
});

describe('an encrypted drive and other tools', () => {
  const luksOptions = () => `driver=luks,key-secret=key,file.filename=${volumeFile()}`;
  function secret(): string {
    const file = join(scratch.directory, 'passphrase');
    writeFileSync(file, passphrase);
    return `secret,id=key,file=${file}`;
  }

  /** What qemu-img reads of the volume with its passphrase. */
  function compareWithQemu(expected: Uint8Array): string {
    const raw = join(scratch.directory, 'expected.img');
    writeFileSync(raw, expected);
    return runTool('qemu-img', [
      'compare',
      '--object',
      secret(),
      '--image-opts',
      luksOptions(),
      `driver=raw,file.filename=${raw}`,
    ]);
  }

  test('qemu-img reads what Drivebay wrote all over a drive', async () => {
    await create(SIZE, { volumeKey, passphrase });
    const data = randomBytes(SIZE);
    const volume = await open(SIZE);
    await volume.write(0, data.subarray(0, 777));
    await volume.write(777, data.subarray(777));
    await volume.flush();
    await volume.close();
    expect(compareWithQemu(data)).toContain('Images are identical.');
  });

  test('Drivebay reads what qemu-img wrote into a drive', async () => {
    await create(SIZE, { volumeKey, passphrase });
    const data = randomBytes(SIZE);
    const source = join(scratch.directory, 'source.img');
    writeFileSync(source, data);
    const from = ['--object', secret(), '--image-opts', `driver=raw,file.filename=${source}`];
    runTool('qemu-img', ['convert', '-n', '--target-image-opts', ...from, luksOptions()]);
    const volume = await open(SIZE);
    expect((await contentOf(volume)).equals(data)).toBe(true);
    await volume.close();
  });

  test('a sparse drive reads the same in qemu-img once its holes are filled, and filling again finds none', async () => {
    await create(SIZE, { volumeKey, passphrase });
    const volume = await open(SIZE);
    const data = Buffer.alloc(SIZE);
    data
      .fill(5, 512, 1024)
      .fill(6, MIB + 100, MIB + 200)
      .fill(7, SIZE - 1000);
    await volume.write(512, data.subarray(512, 1024));
    await volume.write(MIB + 100, data.subarray(MIB + 100, MIB + 200));
    await volume.write(SIZE - 1000, data.subarray(SIZE - 1000));
    const whole = { offsetBytes: 0, lengthBytes: SIZE };
    expect(await fillHoles(volume, { offsetBytes: 0, lengthBytes: 1 })).toBe(512);
    // One sector has just been filled, and four have data.
    expect(await fillHoles(volume, whole)).toBe(SIZE - 5 * 512);
    expect(await fillHoles(volume, whole)).toBe(0);
    await volume.flush();
    expect((await contentOf(volume)).equals(data)).toBe(true);
    await volume.close();
    expect(compareWithQemu(data)).toContain('Images are identical.');
  });

  test('holes that were not filled are noise to other tools', async () => {
    await create(SIZE, { volumeKey, passphrase });
    expect(() => compareWithQemu(Buffer.alloc(SIZE))).toThrow('Command failed');
  });
});
