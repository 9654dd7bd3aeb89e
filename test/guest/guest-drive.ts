import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { BUILT_MAIN } from '../helpers/built-command.ts';
import { ADMIN_AUTH } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { openGuestDisk } from './guest-disk.ts';
import type { GuestFiles } from './guest-files.ts';
import { bootGuest } from './running-guest.ts';
import type { RunningGuest } from './running-guest.ts';

/** What a guest's kernel prints when its disk fails it. */
export const IO_ERROR = /I\/O error|blk_update_request|EXT4-fs (error|warning)|Remounting filesystem/;

/** A drive with the guest's root on it, and its running guest. */
export interface BootedGuest {
  readonly drive: string;
  readonly guest: RunningGuest;
}

/**
 * Uploads the guest's root into a drive, attaches that and boots from it.
 *
 * @param change what to do to the words that `attach` prints
 */
export async function bootFromDrive(
  server: ServerProcess,
  files: GuestFiles,
  { via, change = (words) => words }: { via: string; change?: (words: string) => string },
): Promise<BootedGuest> {
  const drive = await drivebay(server, 'upload', files.rootImage, '--create', '--name', 'root');
  expect((await server.info(drive))['encryption:cipher']).toBe('aes-xts-plain');
  const lines = await drivebay(server, 'attach', drive, '--via', via, '--qemu');
  return { drive, guest: bootGuest(files, change(lines)) };
}

async function drivebay(server: ServerProcess, ...args: string[]): Promise<string> {
  const env = {
    PATH: process.env['PATH'],
    DRIVEBAY_URL: `http://127.0.0.1:${server.port}`,
    DRIVEBAY_AUTH: ADMIN_AUTH,
  };
  const { stdout } = await promisify(execFile)(process.execPath, [BUILT_MAIN, ...args], { env });
  return stdout.trim();
}

/** That what the guest was told is safe is in the drive, in a file system that is whole. */
export async function expectKept(
  server: ServerProcess,
  { drive, guest }: BootedGuest,
  directory: string,
): Promise<void> {
  const bytes = await server.read(drive, 0, Number((await server.info(drive))['size']));
  const disk = await openGuestDisk(bytes, join(directory, drive));
  expect(disk.damage).toEqual([]);
  const lost = [...guest.synced()].filter(([name, sum]) => disk.files.get(name) !== sum);
  expect(lost).toEqual([]);
}

/** The lines of the guest's console that tell of a disk that failed. */
export function errorsOn(guest: RunningGuest): readonly string[] {
  return guest
    .console()
    .split('\n')
    .filter((line) => IO_ERROR.test(line));
}
