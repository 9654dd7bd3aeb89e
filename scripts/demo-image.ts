import { createHash, randomFillSync } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp, mkdir, open, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { runCommand } from './demo-steps.ts';
import type { CommandPlace } from './demo-steps.ts';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const MIB = 1024 ** 2;
const MADE_IMAGE_BYTES = 256 * MIB;
const RANDOM_FILE_BYTES = 32 * MIB;
/** Two drives and what is downloaded. */
const COPIES = 3;

const EXT_MAGIC_OFFSET = 1024 + 56;
const EXT_MAGIC = 0xef53;

export interface DiskImage {
  readonly path: string;
  readonly sizeBytes: number;
  /** An ext file system that e2fsck finds sound, so that it must find the copy sound too. */
  readonly isSoundExt: boolean;
}

/** Makes an ext4 file system with the project's own documents and source in it, and a file that no one can pack. */
export async function makeImage(place: CommandPlace): Promise<DiskImage> {
  await expectRoom(place.cwd, MADE_IMAGE_BYTES * (COPIES + 1));
  const files = join(place.cwd, 'files');
  await mkdir(files);
  for (const folder of ['docs', 'src']) {
    await cp(join(PROJECT, folder), join(files, folder), { recursive: true });
  }
  await writeFile(join(files, 'random.bin'), randomFillSync(Buffer.alloc(RANDOM_FILE_BYTES)));
  const path = join(place.cwd, 'original.img');
  await runCommand(place, 'mkfs.ext4', ['-q', '-d', files, path, `${MADE_IMAGE_BYTES / MIB}M`]);
  await checkFileSystem(place, path);
  return { path, sizeBytes: MADE_IMAGE_BYTES, isSoundExt: true };
}

/** Takes an image that is there already, which is only read. */
export async function takeImage(place: CommandPlace, path: string): Promise<DiskImage> {
  const { size } = await stat(path);
  await expectRoom(place.cwd, size * COPIES);
  const isSoundExt = (await isExt(path)) && (await isSound(place, path));
  return { path, sizeBytes: size, isSoundExt };
}

/** Why a file can't be the demo's image, in a sentence; null when it can. */
export async function imageProblem(path: string): Promise<string | null> {
  const stats = await stat(path).catch(() => null);
  if (stats === null) return `There is no image file ${path}.`;
  if (!stats.isFile()) return `${path} is not a file. Give the file of a disk image.`;
  if (stats.size === 0) return `The image file ${path} is empty.`;
  const isReadable = await open(path).then(
    (file) => file.close().then(() => true),
    () => false,
  );
  return isReadable ? null : `The image file ${path} can't be read.`;
}

async function expectRoom(directory: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize >= neededBytes) return;
  const needed = `${Math.ceil(neededBytes / MIB)} MiB`;
  throw new Error(`${directory} has no room for ${needed}. Set TMPDIR to a folder that has.`);
}

async function isExt(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(2), 0, 2, EXT_MAGIC_OFFSET);
    return bytesRead === 2 && buffer.readUInt16LE() === EXT_MAGIC;
  } finally {
    await file.close();
  }
}

async function isSound(place: CommandPlace, path: string): Promise<boolean> {
  return checkFileSystem(place, path).then(
    () => true,
    () => false,
  );
}

/** Gives e2fsck's summary; throws when it finds a fault. */
export async function checkFileSystem(place: CommandPlace, path: string): Promise<string> {
  const { stdout } = await runCommand(place, 'e2fsck', ['-fn', path]);
  return /(\d+\/\d+ files)/.exec(stdout)?.[1] ?? '';
}

export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: MIB }), hash);
  return hash.digest('hex');
}
