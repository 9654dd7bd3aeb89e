import { truncate } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { runQemuImg } from '../src/crypto/scratch-tools.ts';
import { run } from './lib/command.ts';
import { basic, startDrivebay } from './lib/drivebay-server.ts';
import type { DrivebayServer } from './lib/drivebay-server.ts';
import { createDrive, imageDrive, MIB } from './lib/drives.ts';
import { writeMixedImage } from './lib/images.ts';
import { inTurn, secondsOf } from './lib/measure.ts';
import type { Benchmark, BenchContext, Row } from './lib/measure.ts';
import { uploadFile } from './lib/upload.ts';

const SIZE_BYTES = 512 * MIB;
/** Packing is slow: less shows as much. */
const PACKED_BYTES = 128 * MIB;
const SECRET = 'secret,id=key,data=benchmark';

/** Imaging in a directory in memory, where no disk is the limit. */
export const imaging: Benchmark = {
  name: 'imaging',
  async run(context) {
    const image = join(context.memoryDirectory, 'image.raw');
    writeMixedImage(image, SIZE_BYTES);
    await using server = await startDrivebay(join(context.memoryDirectory, 'data'));
    return [
      await plainCopy(context, server, image),
      await unpack(context, server, image),
      await pack(context, server, image),
    ];
  },
};

async function plainCopy(context: BenchContext, server: DrivebayServer, image: string): Promise<Row> {
  const source = await createDrive(server, { sizeBytes: SIZE_BYTES, cipher: 'aes-xts-plain' });
  const target = await createDrive(server, { sizeBytes: SIZE_BYTES, cipher: 'aes-xts-plain' });
  await uploadFile(server, image, source);
  const [from, to] = ['from.luks', 'to.luks'].map((name) => join(context.memoryDirectory, name));
  if (from === undefined || to === undefined) throw new Error('unreachable');
  const luks = ['--object', SECRET, '-O', 'luks', '-o', 'key-secret=key,iter-time=10'];
  runQemuImg(['convert', ...luks, image, from]);
  runQemuImg([
    'create',
    '--object',
    SECRET,
    '-f',
    'luks',
    '-o',
    'key-secret=key,iter-time=10',
    to,
    `${SIZE_BYTES}`,
  ]);
  const open = (file: string): string => `driver=luks,key-secret=key,file.filename=${file}`;
  const convert = (): Promise<unknown> =>
    run('qemu-img', [
      'convert',
      '--object',
      SECRET,
      '-n',
      '--image-opts',
      '--target-image-opts',
      open(from),
      open(to),
    ]);
  const figures = await inTurn(context.runs, {
    ours: () => imageDrive(server, { source, target }),
    peer: () => secondsOf(convert),
  });
  for (const drive of [source, target]) await server.call('POST', `/drives/${drive}/destroy`);
  for (const file of [from, to]) rmSync(file);
  return row('plain imaging, encrypted to encrypted, 512 MiB', 'qemu-img convert luks to luks', 4, figures);
}

async function unpack(context: BenchContext, server: DrivebayServer, image: string): Promise<Row> {
  const packed = `${image}.gz`;
  await run('pigz', ['-6', '-k', '-f', image]);
  const source = await createDrive(server, { sizeBytes: statSync(packed).size, cipher: 'aes-xts-plain' });
  const target = await createDrive(server, { sizeBytes: SIZE_BYTES, cipher: 'aes-xts-plain' });
  await uploadFile(server, packed, source);
  const output = join(context.memoryDirectory, 'gunzip.out');
  const figures = await inTurn(context.runs, {
    ours: () => imageDrive(server, { source, target, suffix: '/gunzip' }),
    peer: () => secondsOf(() => run('gunzip', ['-c', packed], { stdoutFile: output })),
  });
  for (const drive of [source, target]) await server.call('POST', `/drives/${drive}/destroy`);
  for (const file of [output, packed]) rmSync(file);
  return row('gunzip imaging, encrypted, 512 MiB out', 'gunzip -c into a file', 1.2, figures);
}

async function pack(context: BenchContext, server: DrivebayServer, image: string): Promise<Row> {
  await truncate(image, PACKED_BYTES);
  const source = await createDrive(server, { sizeBytes: PACKED_BYTES, cipher: 'aes-xts-plain' });
  const target = await createDrive(server, { sizeBytes: 2 * PACKED_BYTES, cipher: 'aes-xts-plain' });
  await uploadFile(server, image, source);
  const output = join(context.memoryDirectory, 'pigz.out');
  const figures = await inTurn(context.runs, {
    ours: () => imageDrive(server, { source, target, suffix: '/gzip' }),
    peer: () => secondsOf(() => run('pigz', ['-6', '-c', image], { stdoutFile: output })),
  });
  for (const drive of [source, target]) await server.call('POST', `/drives/${drive}/destroy`);
  rmSync(output);
  return row('gzip imaging, encrypted, 128 MiB in, level 6', 'pigz -6 -c into a file', 1, figures);
}

function row(
  work: string,
  peerName: string,
  target: number,
  figures: { ours: number[]; peer: number[] },
): Row {
  return { work, peerName, target, unit: 's', better: 'lower', ...figures };
}

/** Pieces of 4 MiB that make up 1 GiB. */
const PIECES = 256;

/** Imaging a drive of 100 GiB that holds 1 GiB, against one of 2 GiB that holds as much. */
export const sparseImaging: Benchmark = {
  name: 'sparse-imaging',
  async run(context) {
    await using server = await startDrivebay(join(context.memoryDirectory, 'data'));
    const large = await makePair(server, 100 * 1024 * MIB);
    const small = await makePair(server, 2 * 1024 * MIB);
    // In turn: the system is slower with the memory that it hands out first, by a tenth.
    const body = randomBytes(4 * MIB);
    for (let piece = 0; piece < PIECES; piece += 1) {
      for (const pair of [large, small]) await writePiece(server, pair, { piece, body });
    }
    const figures = await inTurn(context.runs, {
      ours: () => imageDrive(server, large),
      peer: () => imageDrive(server, small),
    });
    return [row('imaging of 100 GiB that hold 1 GiB', 'our 2 GiB that hold 1 GiB', 1 / 1.2, figures)];
  },
};

interface Pair {
  readonly source: string;
  readonly target: string;
  readonly sizeBytes: number;
}

async function makePair(server: DrivebayServer, sizeBytes: number): Promise<Pair> {
  const source = await createDrive(server, { sizeBytes, cipher: 'aes-xts-plain' });
  const target = await createDrive(server, { sizeBytes, cipher: 'aes-xts-plain' });
  return { source, target, sizeBytes };
}

/** Writes one of the pieces that lie evenly over the source. */
async function writePiece(
  server: DrivebayServer,
  { source, sizeBytes }: Pair,
  { piece, body }: { piece: number; body: Buffer },
): Promise<void> {
  const offset = Math.floor((sizeBytes / PIECES) * piece);
  const answer = await fetch(`http://127.0.0.1:${server.port}/drives/${source}/write/${offset}`, {
    method: 'POST',
    headers: { authorization: basic(server.auth), 'content-type': 'application/octet-stream' },
    body,
  });
  if (answer.status !== 204) throw new Error(await answer.text());
}
