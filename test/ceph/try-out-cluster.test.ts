import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import type { ClusterFacts } from '../../scripts/cluster/start-cluster.ts';
import { createDriveClient } from '../helpers/drive-client.ts';
import { noise } from '../helpers/sample-bytes.ts';
import { scratchDirectory } from '../helpers/server-process.ts';

// What `npm run cluster` starts, without the installing.

const run = promisify(execFile);
const directory = await scratchDirectory();

async function cluster(...args: readonly string[]): Promise<string> {
  const command = ['scripts/cluster.ts', ...args, '--directory', directory];
  return (await run(process.execPath, command)).stdout;
}

/** Of the processes whose command line or working directory is about the cluster. */
function processIds(): readonly number[] {
  const own = new Set([process.pid, process.ppid]);
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && !own.has(pid))
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return command.includes(directory) || readlinkSync(`/proc/${pid}/cwd`).startsWith(directory);
      } catch {
        return false;
      }
    });
}

afterAll(async () => await cluster('down'));

test('two nodes behind nginx serve the same drives, go on when one is gone, and everything ends with "down"', async () => {
  const port = randomInt(15_000, 31_000);
  expect(await cluster('--port', String(port))).toContain(`http://127.0.0.1:${port}`);
  expect(await cluster()).toContain('It is up already.');
  const { auth, nodes } = JSON.parse(readFileSync(join(directory, 'cluster.json'), 'utf8')) as ClusterFacts;
  const clients = [port, port + 1, port + 2].map((each) => createDriveClient({ port: each, auth }));
  const [front, first, second] = clients;
  if (front === undefined || first === undefined || second === undefined) throw new Error('No client.');
  const drive = await first.create('size 10M');
  const data = noise('a', 10 * 2 ** 20);
  for (let at = 0; at < data.length; at += 2 ** 20) {
    expect((await front.write(`${drive}/${at}`, data.subarray(at, at + 2 ** 20))).status).toBe(204);
  }
  for (const client of clients) expect((await client.read(drive, 0, data.length)).equals(data)).toBe(true);

  const node = processIds().find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(new URL(nodes[0]?.url ?? '').host),
  );
  process.kill(node ?? 0, 'SIGKILL');
  for (let times = 0; times < 4; times += 1) {
    expect((await front.read(drive, 0, data.length)).equals(data)).toBe(true);
  }
  expect(await cluster('down')).toContain('It is down');
  expect(existsSync(directory)).toBe(false);
  await expect.poll(processIds).toEqual([]);
});
