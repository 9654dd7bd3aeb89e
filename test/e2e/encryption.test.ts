import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noise } from '../helpers/sample-bytes.ts';
import { ADMIN_AUTH, scratchDirectory, startRefused, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { luksImage, storedVolume } from '../helpers/stored-volume.ts';
import { skipOnNodes } from '../helpers/test-nodes.ts';
import { rawSocket, requestHead } from './raw-socket.ts';

const MIB = 1024 * 1024;
let scratch: string;
let dataDirectory: string;
let server: ServerProcess;

beforeAll(async () => {
  scratch = await scratchDirectory();
  dataDirectory = join(scratch, 'data');
  server = await startServer({ dataDirectory });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true });
});

interface ExportedKey {
  readonly passphrase: string;
  readonly volume: string;
}

async function exportKey(drive: string, body = ''): Promise<ExportedKey> {
  return (await server.json(`/admin/drives/${drive}/key/export`, body)) as ExportedKey;
}

async function restart(env: Record<string, string> = {}): Promise<void> {
  expect(await server.stop()).toBe(0);
  server = await startServer({ dataDirectory, env });
}

function luks({ passphrase, volume }: ExportedKey): readonly [secret: string[], image: string] {
  const path = join(scratch, 'passphrase');
  writeFileSync(path, passphrase);
  return [['--object', `secret,id=k,file=${path}`], luksImage(volume)];
}

describe('qemu-img with the exported passphrase', () => {
  test('reads out of the volume what a download gives, holes and odd end included', async () => {
    const sizeBytes = 9 * MIB + 777;
    const drive = await server.create(`size ${sizeBytes}`);
    await server.write(`${drive}/1000`, noise('a', 70_001));
    await server.write(`${drive}/${sizeBytes - 5000}`, noise('b', 5000));
    const [secret, image] = luks(await exportKey(drive));
    const out = join(scratch, 'out.raw');
    execFileSync('qemu-img', ['convert', ...secret, '--image-opts', image, '-O', 'raw', out]);
    const bytes = readFileSync(out);
    expect(bytes.length).toBe(Math.ceil(sizeBytes / 512) * 512);
    expect(bytes.subarray(0, sizeBytes).equals(await server.read(drive, 0, sizeBytes))).toBe(true);
    const rest = await server.read(drive, 71_001, 5 * MIB);
    expect(rest.every((byte) => byte === 0)).toBe(true);
  });

  test('writes into the volume what Drivebay then reads', async () => {
    const data = noise('written by qemu', 6 * MIB);
    const drive = await server.create('size 6M');
    await server.write(drive, noise('older', 3 * MIB));
    const [secret, image] = luks(await exportKey(drive, 'fill false'));
    const raw = join(scratch, 'in.raw');
    writeFileSync(raw, data);
    expect(await server.stop()).toBe(0);
    const to = ['--target-image-opts', image];
    execFileSync('qemu-img', ['convert', ...secret, '-n', '-f', 'raw', raw, ...to]);
    server = await startServer({ dataDirectory });
    expect((await server.read(drive, 0, 6 * MIB)).equals(data)).toBe(true);
  });
});

test('filling the holes of a drive stops when the client hangs up', async () => {
  const drive = await server.create('size 8G');
  const volume = await storedVolume(server, drive);
  const filledBytes = async (): Promise<number> => await volume.allocatedBytes();
  using raw = await rawSocket(server.port, requestHead(ADMIN_AUTH, `POST /admin/drives/${drive}/key/export`));
  await expect.poll(filledBytes, { timeout: 30_000, interval: 5 }).toBeGreaterThan(20 * MIB);
  raw.socket.destroy();
  // The step that is under way is done to its end.
  await sleep(2000);
  const stoppedBytes = await filledBytes();
  await sleep(1000);
  expect(await filledBytes()).toBe(stoppedBytes);
  expect((await server.post(`/drives/${drive}/destroy`)).status).toBe(204);
});

describe('the volume file', () => {
  test('holds no plaintext, and no passphrase is anywhere in the data directory', async () => {
    const plain = Buffer.from('a sentence that must not be found '.repeat(1000));
    const drive = await server.create('size 1M');
    await server.write(drive, plain);
    const { passphrase } = await exportKey(drive);
    const stored = await (await storedVolume(server, drive)).bytes();
    expect(stored.includes('must not be found')).toBe(false);
    const files = readdirSync(dataDirectory, { withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files.map(({ name }) => name)).toContain('master-key');
    for (const { name } of files) {
      expect(readFileSync(join(dataDirectory, name)).includes(passphrase)).toBe(false);
    }
    const secret = files.filter(({ name }) => /^(metadata\.sqlite|master-key|admin-credentials)$/.test(name));
    for (const { name } of secret) expect(statSync(join(dataDirectory, name)).mode & 0o077).toBe(0);
  });

  test('of a drive without encryption is the bytes themselves, and there is no key to export', async () => {
    const drive = await server.create('size 10000\nencryption:cipher none');
    await server.write(drive, noise('plain', 10_000));
    const stored = await (await storedVolume(server, drive)).bytes();
    expect(stored.equals(noise('plain', 10_000))).toBe(true);
    expect(await server.post(`/admin/drives/${drive}/key/export`)).toMatchObject({ status: 400 });
  });

  test('stays thin: the same bytes in two drives differ, and a drive of a terabyte takes no room', async () => {
    const [a, b, big] = [
      await server.create('size 4k'),
      await server.create('size 4k'),
      await server.create('size 1T'),
    ];
    for (const drive of [a, b]) await server.write(drive, noise('same', 4096));
    const payload = async (drive: string): Promise<Buffer> =>
      (await (await storedVolume(server, drive)).bytes()).subarray(2 * MIB);
    expect((await payload(a)).equals(await payload(b))).toBe(false);
    expect(await (await storedVolume(server, big)).allocatedBytes()).toBeLessThan(4 * MIB);
  });

  test('is gone after destroy, and so is the key', async () => {
    const drive = await server.create('size 1M');
    await server.write(drive, noise('gone', 1000));
    const volume = await storedVolume(server, drive);
    expect(await volume.exists()).toBe(true);
    expect((await server.post(`/drives/${drive}/destroy`)).status).toBe(204);
    expect((await server.post(`/admin/drives/${drive}/key/export`)).status).toBe(404);
    await expect.poll(() => volume.exists(), { timeout: 10_000 }).toBe(false);
  });
});

describe('master keys', () => {
  const ringPath = (): string => join(dataDirectory, 'master-key');
  const keysIn = (text: string): string[] => text.split('\n').filter((line) => /^[0-9a-f]{64}$/.test(line));

  test('after a rotation every drive opens with the new key alone, also after a restart', async (context) => {
    skipOnNodes(context, 'a new key in the file of one node would lock the others out, and is refused');
    const drive = await server.create('size 1M');
    await server.write(drive, noise('rotated', 5000));
    const before = keysIn(readFileSync(ringPath(), 'utf8'));
    const passphrase = (await exportKey(drive, 'fill false')).passphrase;
    await server.json('/admin/master-key/rotate', '');
    const after = keysIn(readFileSync(ringPath(), 'utf8'));
    expect(after[0]).not.toBe(before[0]);
    expect((await server.read(drive, 0, 5000)).equals(noise('rotated', 5000))).toBe(true);
    writeFileSync(ringPath(), `${after[0]}\n`);
    await restart();
    expect((await server.read(drive, 0, 5000)).equals(noise('rotated', 5000))).toBe(true);
    expect((await exportKey(drive, 'fill false')).passphrase).toBe(passphrase);
    expect((await server.post('/drives/create', 'size 1M')).status).toBe(200);
  });

  test('with another key, or none, nothing is read and nothing is harmed', async () => {
    const drive = await server.create('size 1M');
    await server.write(drive, noise('locked', 5000));
    expect(await server.stop()).toBe(0);
    const kept = `${ringPath()}-kept`;
    renameSync(ringPath(), kept);
    for (const text of [null, `${'ab'.repeat(32)}\n`, 'no key\n']) {
      await rm(ringPath(), { force: true });
      if (text !== null) writeFileSync(ringPath(), text, { mode: 0o600 });
      const { exitCode, output } = await startRefused({ dataDirectory });
      expect(exitCode).not.toBe(0);
      expect(output).toMatch(/^drivebay: .*master.key/im);
      expect(output).not.toContain('abababab');
    }
    await rm(ringPath(), { force: true });
    renameSync(kept, ringPath());
    server = await startServer({ dataDirectory });
    expect((await server.read(drive, 0, 5000)).equals(noise('locked', 5000))).toBe(true);
  });
});
