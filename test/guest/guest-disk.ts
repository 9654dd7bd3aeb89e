import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What was on a guest's disk when it was killed. */
export interface GuestDisk {
  /** What e2fsck found and a journal does not account for; empty when the file system is whole. */
  readonly damage: readonly string[];
  /** The SHA-256 of each file, by name. */
  readonly files: ReadonlyMap<string, string>;
}

/** Opens the bytes of a drive as any Linux opens its disk after a power failure: the journal first. */
export async function openGuestDisk(bytes: Uint8Array, directory: string): Promise<GuestDisk> {
  await mkdir(directory);
  const image = join(directory, 'disk.img');
  await writeFile(image, bytes);
  const report = await output('/sbin/e2fsck', ['-f', '-y', image]);
  const recheck = await output('/sbin/e2fsck', ['-f', '-n', image]);
  await output('/sbin/debugfs', ['-R', `rdump /data ${directory}`, image]);
  const data = join(directory, 'data');
  const files = new Map<string, string>();
  for (const name of await readdir(data)) {
    files.set(
      name,
      createHash('sha256')
        .update(await readFile(join(data, name)))
        .digest('hex'),
    );
  }
  return { damage: [...damageIn(report), ...damageIn(recheck)], files };
}

/** The kernel writes the two totals in the superblock only when it unmounts, so they are always wrong after a crash. */
const EXPECTED = [
  /^e2fsck \d/,
  /^Pass \d: /,
  /: recovering journal$/,
  /^Free (blocks|inodes) count wrong \(\d+, counted=\d+\)\.$/,
  /^Fix\? yes$/,
  /: \*{5} FILE SYSTEM WAS MODIFIED \*{5}$/,
  /: \d+\/\d+ files \([\d.]+% non-contiguous\), \d+\/\d+ blocks$/,
  /^$/,
];

export function damageIn(report: string): readonly string[] {
  return report.split('\n').filter((line) => !EXPECTED.some((pattern) => pattern.test(line)));
}

/** Both outputs of a command, whatever its exit code. */
async function output(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number') reject(error);
      else resolve(`${stderr}${stdout}`);
    });
  });
}
