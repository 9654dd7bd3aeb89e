import { randomUUID } from 'node:crypto';
import { globSync, unlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { NBD_CMD_FLAG, NBD_ERROR } from '../../src/nbd/protocol-numbers.ts';
import { connectNbd } from '../helpers/nbd-client.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const SIZES = [4096, 2 * 2 ** 20];

let scratch: string;
let server: ServerProcess;
let drive: string;

beforeEach(async () => {
  scratch = await scratchDirectory();
  const dataDirectory = join(scratch, 'data');
  server = await startServer({ dataDirectory, args: ['--nbd-listen', '127.0.0.1:0'] });
  drive = await server.create('size 4M\nclaim:type shared');
  for (const bytes of SIZES) await server.write(drive, noise('kept', bytes));
});

afterEach(async () => {
  await server.stop();
  await rm(scratch, { recursive: true, force: true });
});

function deleteFile(): void {
  const [file] = globSync(`**/${drive}.img`, { cwd: scratch });
  unlinkSync(join(scratch, String(file)));
}

test('a write into a drive whose file was deleted meanwhile is not acknowledged, large or small', async () => {
  deleteFile();
  for (const bytes of SIZES) {
    const answer = await server.write(drive, noise('lost', bytes));
    expect([bytes, answer.status, answer.headers['x-elastic-error']]).toEqual([bytes, 503, 'system']);
    expect(answer.text).toContain(`The file of drive ${drive} in pool`);
    expect(answer.text).toContain('was deleted while the server had it open');
  }
  expect((await server.post(`/drives/${drive}/destroy`)).status).toBe(204);
});

test('neither FLUSH nor FUA succeeds on a drive whose file was deleted meanwhile', async () => {
  const claim = (await server.json(`/drives/${drive}/claim`, `server ${randomUUID()}`)) as {
    'attach:tcp': string;
  };
  using client = await connectNbd(claim['attach:tcp']);
  await client.write(0, noise('kept', 4096), NBD_CMD_FLAG.FUA);
  deleteFile();
  await client.write(0, noise('lost', 4096));
  expect((await client.ask({ command: 'FLUSH' })).error).toBe(NBD_ERROR.EIO);
  const data = noise('lost', 4096);
  const durable = { command: 'WRITE', offsetBytes: 0, data, flags: NBD_CMD_FLAG.FUA } as const;
  expect((await client.ask(durable)).error).toBe(NBD_ERROR.EIO);
});

test('destroying a drive that was just written is told as nothing unusual', async () => {
  expect((await server.post(`/drives/${drive}/destroy`)).status).toBe(204);
  expect(await server.stop()).toBe(0);
  expect(server.output()).not.toMatch(/ESTALE|was deleted while/);
});
