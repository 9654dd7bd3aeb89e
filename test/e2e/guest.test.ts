import { randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { damageIn } from '../guest/guest-disk.ts';
import { bootFromDrive, errorsOn, expectKept, IO_ERROR } from '../guest/guest-drive.ts';
import { guestProblem, makeGuestFiles } from '../guest/guest-files.ts';
import type { GuestFiles } from '../guest/guest-files.ts';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';

/** How long the server stays away, at least. */
const AWAY_MS = 500;
const RESTARTS = ['SIGTERM', 'SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGTERM'] as const;

const problem = await guestProblem();
if (problem !== null)
  process.stderr.write(`No guest is booted, because it cannot be made here: ${problem}\n`);

let scratch: string;
let files: GuestFiles;

beforeAll(async () => {
  scratch = await scratchDirectory();
  if (problem === null) files = await makeGuestFiles(scratch);
});

afterAll(() => rm(scratch, { recursive: true, force: true }));

describe('a guest', () => {
  beforeEach(({ skip }) => {
    if (problem !== null) skip(`it cannot be made here: ${problem}`);
  });

  test('boots from a drive, is killed while it writes, and all that it synced is there', async () => {
    await using server = await startServer({ args: ['--nbd-socket', join(scratch, 'killed.sock')] });
    const booted = await bootFromDrive(server, files, { via: 'unix' });
    await using guest = booted.guest;
    await guest.untilSynced(25);
    await guest.kill();
    expect(errorsOn(guest)).toEqual([]);
    await expectKept(server, booted, scratch);
  });

  test.each(['tcp', 'unix'])(
    'goes on over %s while the server is stopped and started five times, without an I/O error',
    async (via) => {
      const dataDirectory = join(scratch, `data-${via}`);
      const socketPath = join(scratch, `restarted-${via}.sock`);
      // Below those that the system gives to connections: nobody may take it while the server is away.
      const port = randomInt(15_000, 32_000);
      const args = ['--nbd-socket', socketPath, '--nbd-listen', `127.0.0.1:${port}`];
      let server = await startServer({ dataDirectory, args });
      try {
        const booted = await bootFromDrive(server, files, { via });
        await using guest = booted.guest;
        await guest.untilSynced(5);
        for (const signal of RESTARTS) {
          expect(await server.stop(signal)).toBe(signal === 'SIGTERM' ? 0 : null);
          await sleep(AWAY_MS);
          server = await startServer({ dataDirectory, args });
          await guest.untilSynced(5);
        }
        await guest.kill();
        expect(errorsOn(guest)).toEqual([]);
        expect(await server.json(`/drives/${booted.drive}/claims`)).toMatchObject([{ epoch: '1' }]);
        await expectKept(server, booted, scratch);
      } finally {
        await server.stop();
      }
    },
  );
});

test('a file system that lost something, and an I/O error of a guest, would be seen', () => {
  const report = ['e2fsck 1.47.0 (5-Feb-2023)', 'root.img: recovering journal', 'Pass 1: Checking inodes'];
  expect(damageIn(report.join('\n'))).toEqual([]);
  const damage = "Entry '7' in /data (13) has deleted/unused inode 20.  Clear? yes";
  expect(damageIn([...report, damage].join('\n'))).toEqual([damage]);
  const line = '[    9.1] I/O error, dev vda, sector 2048 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2';
  expect(line).toMatch(IO_ERROR);
});
