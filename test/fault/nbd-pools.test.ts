import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { NBD_ERROR } from '../../src/nbd/protocol-numbers.ts';
import { connectNbd } from '../helpers/nbd-client.ts';
import type { NbdClient } from '../helpers/nbd-client.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const MIB = 2 ** 20;
let scratch: string;
let small: string;
let server: ServerProcess;
let isFrozen = false;

beforeEach(async () => {
  if (process.getuid?.() !== 0) throw new Error('These tests mount small file systems: run them as root.');
  scratch = await scratchDirectory();
  const [disk, good] = [join(scratch, 'small.img'), join(scratch, 'good')];
  small = join(scratch, 'small');
  await Promise.all([mkdir(small), mkdir(good), writeFile(disk, '')]);
  await truncate(disk, 48 * MIB);
  execFileSync('mkfs.ext4', ['-q', '-m', '0', '-O', '^has_journal', disk]);
  execFileSync('mount', ['-o', 'loop', disk, small]);
  const config = `pools:
  - {name: good, directory: ${good}, tier: disk}
  - {name: small, directory: ${small}, tier: ssd, reserve: 0}
`;
  const args = ['--nbd-listen', '127.0.0.1:0'];
  server = await startServer({ dataDirectory: join(scratch, 'data'), config, args });
});

afterEach(async () => {
  if (isFrozen) freeze(false);
  await server.stop();
  execFileSync('umount', [small]);
  await rm(scratch, { recursive: true, force: true });
});

function freeze(wanted: boolean): void {
  execFileSync('fsfreeze', [wanted ? '-f' : '-u', small]);
  isFrozen = wanted;
}

async function attach(drive: string): Promise<NbdClient> {
  const claim = (await server.json(`/drives/${drive}/claim`, `server ${randomUUID()}`)) as {
    'attach:tcp': string;
  };
  return await connectNbd(claim['attach:tcp']);
}

test('a disk that is full is ENOSPC to its client, and nothing else breaks', async () => {
  const full = await attach(await server.create('size 100M\ntier ssd\nencryption:cipher none'));
  const fine = await attach(await server.create('size 8M\ntier disk'));
  const piece = noise('piece', MIB);
  const errors: number[] = [];
  for (let at = 0; at < 64; at += 1) {
    errors.push((await full.ask({ command: 'WRITE', offsetBytes: at * MIB, data: piece })).error);
  }
  const firstError = errors.findIndex((error) => error !== 0);
  expect(firstError).toBeGreaterThan(20);
  expect(new Set(errors.slice(firstError))).toEqual(new Set([NBD_ERROR.ENOSPC]));
  expect((await full.read((firstError - 1) * MIB, MIB)).equals(piece)).toBe(true);
  await full.write(0, noise('in place', MIB));
  await full.flush();
  await fine.write(0, piece);
  expect((await full.ask({ command: 'TRIM', lengthBytes: 10 * MIB })).error).toBe(0);
  await full.flush();
  await expect
    .poll(() => full.ask({ command: 'WRITE', offsetBytes: firstError * MIB, data: piece }), {
      timeout: 15_000,
    })
    .toMatchObject({ error: 0 });
});

/** The longest of some writes and reads, in milliseconds. */
async function longest(client: NbdClient): Promise<number> {
  let longestMs = 0;
  for (let at = 0; at < 10; at += 1) {
    const startedAtMs = performance.now();
    await client.write(at * 8192, noise('x', 4096));
    await client.read(at * 8192, 4096);
    longestMs = Math.max(longestMs, performance.now() - startedAtMs);
  }
  return longestMs;
}

test('a pool that hangs stops its own drive, and 49 others on 196 connections keep their pace', async () => {
  const stuck = await attach(await server.create('size 8M\ntier ssd'));
  await stuck.write(0, noise('x', 4096));
  const drives = await Promise.all(Array.from({ length: 49 }, () => server.create('size 1M\ntier disk')));
  const clients: NbdClient[] = [];
  for (const drive of drives) {
    const claim = (await server.json(`/drives/${drive}/claim`, `server ${randomUUID()}`)) as {
      'attach:tcp': string;
    };
    for (let count = 0; count < 4; count += 1) clients.push(await connectNbd(claim['attach:tcp']));
  }
  await Promise.all(clients.map(longest));
  const beforeMs = Math.max(...(await Promise.all(clients.map(longest))));
  freeze(true);
  let isAnswered = false;
  const hanging = stuck.write(MIB, noise('y', MIB)).then(() => (isAnswered = true));
  await sleep(200);
  const duringMs = Math.max(...(await Promise.all(clients.map(longest))));
  expect(isAnswered).toBe(false);
  expect(duringMs).toBeLessThan(Math.max(1000, 4 * beforeMs));
  freeze(false);
  await hanging;
  expect((await stuck.read(MIB, MIB)).equals(noise('y', MIB))).toBe(true);
});

test('a takeover is answered only once a write that hangs in the disk has ended, and the new holder has the last word', async () => {
  const drive = await server.create('size 8M\ntier ssd\nencryption:cipher none');
  const before = await attach(drive);
  await before.write(0, noise('before', 4096));
  freeze(true);
  const hanging = before.write(0, noise('late', MIB)).catch((error: unknown) => error);
  await sleep(100);
  let isAnswered = false;
  const takeover = server
    .json(`/drives/${drive}/claim`, `server ${randomUUID()}\ntakeover true`)
    .finally(() => (isAnswered = true)) as Promise<{ 'attach:tcp': string }>;
  await sleep(1000);
  expect(isAnswered).toBe(false);
  freeze(false);
  const after = await connectNbd((await takeover)['attach:tcp']);
  await after.write(0, noise('after', MIB));
  await hanging;
  for (let look = 0; look < 5; look += 1) {
    expect((await after.read(0, MIB)).equals(noise('after', MIB))).toBe(true);
    await sleep(50);
  }
});
