import { execFileSync } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const MIB = 1024 * 1024;
const DRIVE_MIB = 24;

let scratch: string;
let directory: string;
let server: ServerProcess;

beforeEach(async () => {
  if (process.getuid?.() !== 0) throw new Error('These tests mount small file systems: run them as root.');
  scratch = await scratchDirectory();
  directory = join(scratch, 'small');
  await mkdir(directory);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'drivebay-test', directory]);
  const config = `pools:\n  - {name: small, directory: ${directory}, reserve: 4M}\n`;
  server = await startServer({ dataDirectory: join(scratch, 'data'), config });
});

afterEach(async () => {
  await server.stop();
  execFileSync('umount', [directory]);
  await rm(scratch, { recursive: true, force: true });
});

describe.each(['none', 'aes-xts-plain'])('in a full pool, with encryption:cipher %s', (cipher) => {
  test('a write that does not fit is 507 and changes nothing, and a write in place passes', async () => {
    const first = await server.create(`size 8M\nencryption:cipher ${cipher}`);
    const drive = await server.create(`size ${DRIVE_MIB}M\nencryption:cipher ${cipher}`);
    expect((await server.write(first, noise('first', 8 * MIB))).status).toBe(204);
    const expected = await fill(drive);
    await expectRefused(drive, expected, DRIVE_MIB * MIB - 3 * MIB - 7, noise('beyond', 3 * MIB));
    await expectRefused(drive, expected, MIB / 2, noise('half in place', (DRIVE_MIB - 1) * MIB));

    const inPlace = noise('in place', MIB + 999);
    expect((await server.write(`${drive}/12345`, inPlace)).status).toBe(204);
    inPlace.copy(expected, 12345);
    expect((await server.read(drive, 0, expected.length)).equals(expected)).toBe(true);
    expect((await server.read(first, 0, 8 * MIB)).equals(noise('first', 8 * MIB))).toBe(true);
  });

  test('a destroyed drive gives its room back', async () => {
    const first = await server.create(`size 8M\nencryption:cipher ${cipher}`);
    const drive = await server.create(`size ${DRIVE_MIB}M\nencryption:cipher ${cipher}`);
    expect((await server.write(first, noise('first', 8 * MIB))).status).toBe(204);
    const expected = await fill(drive);
    const more = noise('more', 6 * MIB);
    const at = expected.length - more.length;
    await expectRefused(drive, expected, at, more);

    expect((await server.post(`/drives/${first}/destroy`)).status).toBe(204);
    expect((await server.write(`${drive}/${at}`, more)).status).toBe(204);
    more.copy(expected, at);
    expect((await server.read(drive, 0, expected.length)).equals(expected)).toBe(true);
  });
});

/** Writes on until the pool is full, and gives what the drive holds then. */
async function fill(drive: string): Promise<Buffer> {
  const expected = Buffer.alloc(DRIVE_MIB * MIB);
  for (let at = 0; at < expected.length; at += MIB) {
    const data = noise(`${at}`, MIB);
    const answer = await server.write(`${drive}/${at}`, data);
    if (answer.status === 507) return expected;
    expect(answer.status).toBe(204);
    data.copy(expected, at);
  }
  throw new Error('The pool is larger than it was meant to be.');
}

async function expectRefused(drive: string, before: Buffer, offset: number, data: Buffer): Promise<void> {
  const answer = await server.write(`${drive}/${offset}`, data);
  expect(answer.status).toBe(507);
  expect(answer.headers['x-elastic-error']).toMatch(/^full\b/);
  expect((await server.read(drive, 0, before.length)).equals(before)).toBe(true);
}
