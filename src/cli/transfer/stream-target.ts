import { createWriteStream } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { createGzip, createZstdCompress } from 'node:zlib';
import { fileError } from '../cli-error.ts';
import { PART_SUFFIX } from './download-target.ts';
import type { Packing } from './stream-source.ts';

const PACKED_CHUNK_BYTES = 256 * 1024;

/** Something that takes bytes in order only. */
export interface StreamTarget {
  /** Returns when the bytes are no longer needed. */
  write(bytes: Buffer): Promise<void>;
  finish(): Promise<void>;
  close(): Promise<void>;
}

/** Standard output, which is left open. */
export function openOutputTarget(stream: Writable, name: string): StreamTarget {
  // Each write reports its own error; without a listener the same error would end the process.
  stream.on('error', () => undefined);
  return {
    write: (bytes) => writeTo(stream, bytes, name),
    finish: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

/** A pipe or a character device that has a path. */
export function openPipeTarget(path: string): StreamTarget {
  const stream = createWriteStream(path);
  stream.on('error', () => undefined);
  return {
    write: (bytes) => writeTo(stream, bytes, path),
    finish: () => endStream(stream, stream, path),
    async close() {
      stream.destroy();
    },
  };
}

/** A packed file, written from its beginning each time and given its name when it is complete. */
export async function openPackedTarget(path: string, packing: Packing): Promise<StreamTarget> {
  const partPath = path + PART_SUFFIX;
  const handle = await open(partPath, 'w').catch((error: unknown) => {
    throw fileError('write', partPath, error);
  });
  const packer =
    packing === 'gzip'
      ? createGzip({ chunkSize: PACKED_CHUNK_BYTES })
      : createZstdCompress({ chunkSize: PACKED_CHUNK_BYTES });
  const file = handle.createWriteStream({ flush: true });
  file.on('error', (error) => packer.destroy(error));
  packer.on('error', () => file.destroy());
  packer.pipe(file);
  return {
    write: (bytes) => writeTo(packer, bytes, path),
    async finish() {
      await endStream(packer, file, path);
      await rename(partPath, path);
    },
    async close() {
      packer.destroy();
      file.destroy();
    },
  };
}

/** A stream that is destroyed may leave the write under way unanswered, and tells later ones nothing of the reason. */
function writeTo(stream: Writable, bytes: Buffer, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(fileError('write', name, error) as Error);
    stream.once('error', fail);
    stream.write(bytes, (error) => {
      stream.off('error', fail);
      const reason = stream.errored ?? error;
      if (reason === null || reason === undefined) resolve();
      else fail(reason);
    });
  });
}

async function endStream(first: Writable, last: Writable, name: string): Promise<void> {
  first.end();
  await finished(last).catch((error: unknown) => {
    throw fileError('write', name, error);
  });
}
