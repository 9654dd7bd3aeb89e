import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { checkFileSystem, imageProblem, makeImage, sha256, takeImage } from './demo-image.ts';
import type { DiskImage } from './demo-image.ts';
import { startDemoServer } from './demo-server.ts';
import type { DemoServer } from './demo-server.ts';
import { cleanEnvironment, createSteps, messageOf, runCommand } from './demo-steps.ts';
import type { CommandOutput, CommandPlace, Steps } from './demo-steps.ts';

// Carries a disk image all the way: into a drive, onto a second one, back out, and open without Drivebay.

const USAGE = `usage: npm run demo [IMAGE]
       npm run demo -- --keep [IMAGE]

Carries the disk image IMAGE, which is only read, or one that is made for it, through a Drivebay of its own.
--keep leaves the folder with the drives, the key and the copy.`;

interface Demo {
  readonly steps: Steps;
  /** A folder of its own for all that the demo makes. */
  readonly place: CommandPlace;
}

interface Drive {
  readonly id: string;
  readonly keyPath: string;
}

async function runDemo(demo: Demo, givenPath: string | null): Promise<void> {
  const image = await getImage(demo, givenPath);
  const { steps, place } = demo;
  const server = await steps.run(
    'start a server',
    () => startDemoServer(place, join(place.cwd, 'data')),
    ({ url }) => url,
  );
  try {
    const drive = await carry(demo, server, image);
    await steps.run('stop the server', server.stop, () => '');
    await openWithQemu(demo, image, drive);
  } finally {
    await server.kill();
  }
}

async function getImage({ steps, place }: Demo, givenPath: string | null): Promise<DiskImage> {
  const describe = ({ sizeBytes, isSoundExt }: DiskImage): string =>
    `${sizeBytes} bytes${isSoundExt ? ', a sound ext file system' : ''}`;
  return givenPath === null
    ? steps.run('make a disk image with files in it', () => makeImage(place), describe)
    : steps.run('look at the disk image given', () => takeImage(place, givenPath), describe);
}

/** Through Drivebay: up, across and down again. Gives the second drive. */
async function carry(demo: Demo, server: DemoServer, image: DiskImage): Promise<Drive> {
  const { steps, place } = demo;
  const create = (name: string) => (): Promise<CommandOutput> =>
    server.drivebay('create', '--name', name, '--size', String(image.sizeBytes));
  const uuid = ({ stdout }: CommandOutput): string => stdout.trim();
  const first = uuid(await steps.run('drivebay create: an encrypted drive', create('first'), uuid));
  // --raw: an image that happens to be called .gz is to come back as it is.
  const upload = (): Promise<CommandOutput> => server.drivebay('upload', '--raw', image.path, first);
  await steps.run('drivebay upload: the image into it', upload, lastWords);
  const second = uuid(await steps.run('drivebay create: a second drive', create('second'), uuid));
  const copy = (): Promise<CommandOutput> => server.drivebay('image', first, second, '--wait');
  await steps.run('drivebay image: the first onto the second', copy, () => 'imaged');
  const copyPath = join(place.cwd, 'copy.img');
  const download = (): Promise<CommandOutput> => server.drivebay('download', second, copyPath);
  await steps.run('drivebay download: the second drive', download, lastWords);
  await compareWithOriginal(demo, image, copyPath);
  const keyPath = join(place.cwd, 'second.key');
  const exportKey = (): Promise<CommandOutput> =>
    server.drivebay('key', 'export', second, '--output', keyPath);
  await steps.run('drivebay key export: the passphrase of the second', exportKey, () => 'second.key');
  return { id: second, keyPath };
}

function lastWords({ stderr }: CommandOutput): string {
  return (
    stderr
      .trim()
      .split(/[\r\n]/)
      .at(-1) ?? ''
  );
}

async function compareWithOriginal(
  { steps, place }: Demo,
  image: DiskImage,
  copyPath: string,
): Promise<void> {
  const compare = async (): Promise<string> => {
    const [original, copy] = await Promise.all([sha256(image.path), sha256(copyPath)]);
    if (original !== copy) throw new Error(`The original has SHA-256 ${original}, the copy ${copy}.`);
    return original;
  };
  await steps.run('compare the copy with the original, by SHA-256', compare, (hash) => `both ${hash}`);
  if (!image.isSoundExt) return;
  await steps.run(
    'e2fsck -fn: the copy',
    () => checkFileSystem(place, copyPath),
    (files) => `sound, ${files}`,
  );
}

/** With nothing but the drive's file and its passphrase. */
async function openWithQemu({ steps, place }: Demo, image: DiskImage, drive: Drive): Promise<void> {
  const file = join(place.cwd, 'data/pools/default/drives', drive.id.slice(0, 2), `${drive.id}.img`);
  const secret = ['--object', `secret,id=key,file=${quoted(drive.keyPath)}`, '--image-opts'];
  const luks = `driver=luks,key-secret=key,file.driver=file,file.filename=${quoted(file)}`;
  const raw = `driver=raw,file.driver=file,file.filename=${quoted(image.path)}`;
  const qemuImg = async (command: string, ...args: readonly string[]): Promise<string> =>
    (await runCommand(place, 'qemu-img', [command, ...secret, ...args])).stdout;
  await steps.run("qemu-img info: the second drive's file", () => qemuImg('info', luks), describeVolume);
  await steps.run(
    'qemu-img compare: the original with that file',
    () => qemuImg('compare', raw, luks),
    (said) => said.trim().split('\n').at(-1) ?? '',
  );
}

/** In qemu's options a comma ends a value unless it is doubled. */
function quoted(path: string): string {
  return path.replaceAll(',', ',,');
}

function describeVolume(info: string): string {
  const [format, cipher, mode] = ['file format', 'cipher alg', 'cipher mode'].map(
    (key) => new RegExp(`${key}: (.*)`).exec(info)?.[1] ?? '?',
  );
  const sizeBytes = /virtual size: .*\((\d+) bytes\)/.exec(info)?.[1] ?? '?';
  return `${format}, ${cipher} ${mode}, ${sizeBytes} bytes`;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { keep: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
  });
  if (values.help) return console.log(USAGE);
  if (positionals.length > 1) throw new Error(`The demo takes one image.\n${USAGE}`);
  // npm runs scripts in the project's folder, and says where it was called.
  const givenPath =
    positionals[0] === undefined ? null : resolve(process.env['INIT_CWD'] ?? '', positionals[0]);
  const problem = givenPath === null ? null : await imageProblem(givenPath);
  if (problem !== null) throw new Error(problem);
  const directory = await mkdtemp(join(tmpdir(), 'drivebay-demo-'));
  const steps = createSteps();
  const place = { cwd: directory, env: cleanEnvironment(), signal: interruption() };
  try {
    await runDemo({ steps, place }, givenPath);
    console.log(
      `The image came back as it went in, and opens without Drivebay. ${steps.count()} steps, ${steps.seconds()} seconds.`,
    );
  } finally {
    if (values.keep) console.log(`Kept: ${directory}`);
    else await rm(directory, { recursive: true, force: true });
  }
}

/** Aborted by Ctrl-C and the like: the step under way fails then, and what was made is cleaned up. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => controller.abort());
  }
  return controller.signal;
}

main().catch((error: unknown) => {
  console.error(messageOf(error));
  process.exitCode = 1;
});
