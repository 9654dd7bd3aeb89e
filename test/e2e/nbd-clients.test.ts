import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { image, noise } from '../helpers/sample-bytes.ts';
import { ADMIN_AUTH, scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { storedVolume } from '../helpers/stored-volume.ts';
import { FIRST_PAIR } from '../helpers/tls-pairs.ts';

// Drives as the NBD clients of Debian see them: libnbd, QEMU, fio.

const run = promisify(execFile);
const MIB = 2 ** 20;
let scratch: string;
let plain: ServerProcess;
let secure: ServerProcess;

beforeAll(async () => {
  scratch = await scratchDirectory();
  const pki = join(scratch, 'pki');
  await mkdir(pki);
  const [cert, key] = [join(pki, 'ca-cert.pem'), join(pki, 'key.pem')];
  await Promise.all([writeFile(cert, FIRST_PAIR.cert), writeFile(key, FIRST_PAIR.key)]);
  const listen = ['--nbd-listen', '127.0.0.1:0'];
  plain = await startServer({ args: [...listen, '--nbd-socket', join(scratch, 'nbd.sock')] });
  secure = await startServer({ args: [...listen, '--tls-cert', cert, '--tls-key', key] }).catch(
    async (error: unknown) => {
      await plain[Symbol.asyncDispose]();
      throw error;
    },
  );
});

afterAll(async () => {
  await Promise.all([plain[Symbol.asyncDispose](), secure[Symbol.asyncDispose]()]);
  await rm(scratch, { recursive: true, force: true });
});

async function output(command: string, ...args: readonly string[]): Promise<string> {
  return (await run(command, args, { timeout: 60_000, maxBuffer: 64 * MIB })).stdout;
}

type Claim = Readonly<Record<string, string>>;

async function claim(server: ServerProcess, drive: string, pairs = ''): Promise<Claim> {
  return (await server.json(`/drives/${drive}/claim`, `server ${randomUUID()}${pairs}`)) as Claim;
}

async function release(server: ServerProcess, { drive, server: holder }: Claim): Promise<void> {
  expect((await server.post(`/drives/${drive}/release`, `server ${holder}`)).status).toBe(204);
}

async function storedBytes(server: ServerProcess, drive: string): Promise<number> {
  return await (await storedVolume(server, drive)).dataBytes();
}

describe.each([
  ['TCP', 'none'],
  ['TCP', 'aes-xts-plain'],
  ['a Unix socket', 'aes-xts-plain'],
])('over %s, with encryption:cipher %s', (way, cipher) => {
  const uriOf = (claimed: Claim): string => claimed[way === 'TCP' ? 'attach:tcp' : 'attach:unix'] ?? '';

  test('nbdcopy brings an image, its holes stay holes, and HTTP and qemu-img find the same bytes', async () => {
    const bytes = image('dzzdzzzzdz', 100_001);
    const file = join(scratch, 'image.raw');
    await writeFile(file, bytes);
    const drive = await plain.create(`size ${bytes.length}\nencryption:cipher ${cipher}`);
    const claimed = await claim(plain, drive);
    const uri = uriOf(claimed);
    await output('nbdcopy', '--flush', '--destination-is-zero', file, uri);
    expect((await plain.read(drive, 0, bytes.length)).equals(bytes)).toBe(true);
    expect(await storedBytes(plain, drive)).toBeLessThan(16 * MIB);
    expect(await output('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', file, uri)).toContain('identical');
    const map = JSON.parse(await output('qemu-img', 'map', '--output', 'json', uri)) as {
      data: boolean;
      length: number;
    }[];
    expect(map.filter(({ data }) => data).reduce((sum, { length }) => sum + length, 0)).toBeLessThan(
      16 * MIB,
    );
    const back = join(scratch, 'back.raw');
    await output('nbdcopy', uri, back);
    expect(await output('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', file, back)).toContain('identical');
    await release(plain, claimed);
  });

  test('qemu-io writes, zeroes and discards, and the space comes back', async () => {
    const drive = await plain.create(`size 32M\nencryption:cipher ${cipher}`);
    const claimed = await claim(plain, drive);
    const uri = uriOf(claimed);
    const qemuIo = async (...commands: string[]): Promise<void> => {
      const found = await output(
        'qemu-io',
        '-f',
        'raw',
        '-d',
        'unmap',
        ...commands.flatMap((each) => ['-c', each]),
        uri,
      );
      expect(found).not.toMatch(/failed|error/i);
    };
    await qemuIo('write -P 0xab 0 32M', 'read -P 0xab 0 32M', 'write -f -P 0xcd 1000k 3k', 'flush');
    expect(await storedBytes(plain, drive)).toBeGreaterThanOrEqual(32 * MIB);
    await qemuIo('discard 8M 16M', 'read -P 0 8M 16M', 'write -z 24M 4M', 'write -z -u 28M 2M', 'flush');
    expect(await storedBytes(plain, drive)).toBeLessThan(18 * MIB);
    await qemuIo(
      'read -P 0 8M 22M',
      'read -P 0xab 30M 2M',
      'read -P 0xcd 1000k 3k',
      'read -P 0xab 1003k 1000k',
    );
    expect((await plain.read(drive, 30 * MIB, 2 * MIB)).equals(Buffer.alloc(2 * MIB, 0xab))).toBe(true);
    await release(plain, claimed);
  });

  test('fio reads what it wrote, at any offset, with many requests under way', async () => {
    const drive = await plain.create(`size 64M\nencryption:cipher ${cipher}`);
    const claimed = await claim(plain, drive);
    const job = [
      '--name=verify',
      '--ioengine=nbd',
      `--uri=${uriOf(claimed)}`,
      '--rw=randwrite',
      '--size=64M',
    ];
    const load = [
      '--bsrange=512-128k',
      '--bs_unaligned=1',
      '--iodepth=16',
      '--verify=crc32c',
      '--verify_fatal=1',
      '--verify_state_save=0',
    ];
    const report = await output(
      'fio',
      ...job,
      ...load,
      '--fsync=100',
      '--trim_percentage=0',
      '--output-format=json',
    );
    const { jobs } = JSON.parse(report.slice(report.indexOf('{'))) as {
      jobs: { error: number; write: { io_bytes: number }; read: { io_bytes: number } }[];
    };
    expect(jobs[0]).toMatchObject({ error: 0 });
    expect(jobs[0]?.write.io_bytes).toBeGreaterThan(60 * MIB);
    expect(jobs[0]?.read.io_bytes).toBeGreaterThan(30 * MIB);
    await release(plain, claimed);
  });
});

test('nbdinfo sees the size, what can be done, and that nothing is listed', async () => {
  const drive = await plain.create('size 12345678\nname web-1');
  const { 'attach:tcp': uri = '' } = await claim(plain, drive);
  const info = JSON.parse(await output('nbdinfo', '--json', uri)) as { exports: Record<string, unknown>[] };
  expect(info.exports[0]).toMatchObject({
    'export-size': 12_345_678,
    description: 'web-1',
    is_read_only: false,
    can_multi_conn: true,
    can_fua: true,
    can_flush: true,
    can_trim: true,
    can_zero: true,
    can_fast_zero: true,
    can_cache: true,
    contexts: ['base:allocation'],
  });
  const server = new URL(uri).host;
  const listed = JSON.parse(
    await output('nbdinfo', '--list', '--json', `nbd://${server}`).catch(() => '{"exports":[]}'),
  ) as {
    exports: unknown[];
  };
  expect(listed.exports).toEqual([]);
});

test('a claim to read refuses every write', async () => {
  const drive = await plain.create('size 1M');
  await plain.write(drive, noise('ro', 1000));
  const { 'attach:tcp': uri = '' } = await claim(plain, drive, '\naccess ro');
  expect(await output('nbdinfo', uri)).toMatch(/is_read_only: true/);
  await expect(output('qemu-io', '-f', 'raw', '-c', 'write 0 512', uri)).rejects.toThrow(
    /read-only|[Pp]ermission/,
  );
  await expect(output('nbdcopy', join(scratch, 'image.raw'), uri)).rejects.toThrow(/nbdcopy/);
  expect((await plain.read(drive, 0, 1000)).equals(noise('ro', 1000))).toBe(true);
});

test('wrong secrets are refused, and each one takes longer than the one before', async () => {
  const drive = await plain.create('size 1M');
  const { 'attach:unix': uri = '' } = await claim(plain, drive);
  const wrong = uri.replace(/\/\/\/[0-9a-f]{4}/, '///0000');
  const tries: number[] = [];
  for (let count = 0; count < 6; count += 1) {
    const startedAtMs = performance.now();
    await expect(output('nbdinfo', '--size', wrong)).rejects.toThrow(/nbdinfo/);
    tries.push(performance.now() - startedAtMs);
  }
  expect(tries.at(-1)).toBeGreaterThan(350);
  expect((await output('nbdinfo', '--size', uri)).trim()).toBe(String(MIB));
});

test('with TLS, libnbd and QEMU copy and read the same bytes, and without it nothing is said', async () => {
  const pki = join(scratch, 'pki');
  const bytes = image('dzd', 5000);
  const file = join(scratch, 'secure.raw');
  await writeFile(file, bytes);
  const post = async (path: string, body: string): Promise<Claim> => {
    const url = `https://127.0.0.1:${secure.port}/drives/${path}`;
    const json = ['-H', 'Accept: application/json'];
    return JSON.parse(await output('curl', '-sSk', '-u', ADMIN_AUTH, ...json, '-d', body, url)) as Claim;
  };
  const { drive = '' } = await post('create', `size ${bytes.length}`);
  const { 'attach:tcp': uri = '' } = await post(`${drive}/claim`, `server ${randomUUID()}`);
  expect(uri).toMatch(/^nbds:/);
  await output('nbdcopy', '--flush', file, `${uri}?tls-certificates=${pki}`);
  const { hostname, port, pathname } = new URL(uri.replace('nbds:', 'http:'));
  const server = `file.driver=nbd,file.server.type=inet,file.server.host=${hostname},file.server.port=${port}`;
  const remote = `driver=raw,${server},file.export=${pathname.slice(1)},file.tls-creds=tls0`;
  const credentials = `tls-creds-x509,id=tls0,endpoint=client,dir=${pki}`;
  const compared = ['--image-opts', '--object', credentials, `driver=raw,file.filename=${file}`, remote];
  expect(await output('qemu-img', 'compare', ...compared)).toContain('identical');
  await expect(output('nbdinfo', '--size', uri.replace('nbds:', 'nbd:'))).rejects.toThrow(/TLS/);
});
