import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSqliteStore } from './sqlite-store.ts';

let directory = '';

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'drivebay-durability-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/** Inserts users in pairs, eight transactions at a time, and prints the pairs that were acknowledged. */
const WRITER = `
  const [, storeUrl, rowsUrl, path] = process.argv;
  const { openSqliteStore } = await import(storeUrl);
  const { sampleUser, SAMPLE_HASH } = await import(rowsUrl);
  const store = await openSqliteStore({ path });
  async function write() {
    for (;;) {
      const pair = [sampleUser(), sampleUser()];
      await store.transaction(async (tx) => {
        await tx.users.insert({ ...pair[0], name: pair[1].userId }, SAMPLE_HASH);
        await tx.users.insert({ ...pair[1], name: pair[0].userId }, SAMPLE_HASH);
      });
      process.stdout.write(pair[0].userId + ' ' + pair[1].userId + '\\n');
    }
  }
  for (let writer = 0; writer < 8; writer += 1) write();
`;

/** Runs a writer on the database until it has acknowledged so many pairs, then kills it. */
async function writeUntilKilled(path: string, pairs: number): Promise<string[]> {
  const urls = ['./sqlite-store.ts', '../describe-sample-rows.ts'].map(
    (name) => new URL(name, import.meta.url).href,
  );
  const child = spawn(process.execPath, ['--eval', WRITER, ...urls, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const acknowledged: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    acknowledged.push(...line.split(' '));
    if (acknowledged.length >= 2 * pairs) child.kill('SIGKILL');
  }
  await exited;
  return acknowledged;
}

test('what was acknowledged before kill -9 is there, and nothing is half there', async () => {
  const path = join(directory, 'metadata.db');
  const acknowledged: string[] = [];
  for (const pairs of [1, 40, 333]) {
    acknowledged.push(...(await writeUntilKilled(path, pairs)));
    const store = await openSqliteStore({ path });
    const users = await store.users.list({ after: null, limit: 100_000 });
    await store.close();
    const partners = new Map(users.map((user) => [user.userId, user.name]));
    expect(acknowledged.filter((userId) => !partners.has(userId))).toEqual([]);
    expect(users.filter((user) => partners.get(user.name ?? '') !== user.userId)).toEqual([]);
  }
  expect(acknowledged.length).toBeGreaterThanOrEqual(2 * 374);
});
