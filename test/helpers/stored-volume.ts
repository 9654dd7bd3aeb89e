import { randomUUID } from 'node:crypto';
import { readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testCluster } from '../ceph/scratch-rbd.ts';
import type { ServerProcess } from './server-process.ts';
import { sharedPlace } from './shared-place.ts';
import { nodeCount } from './test-nodes.ts';

const BLOCK_BYTES = 4096;

/** What is stored of a drive, for tests that look past the server: a file, or an image in Ceph. */
export interface StoredVolume {
  /** All of it. */
  bytes(): Promise<Buffer>;
  /** The room that it takes; of an image in whole objects, which is what Ceph tells. */
  allocatedBytes(): Promise<number>;
  /** The room that its data take, without holes; of an image by reading all of it. */
  dataBytes(): Promise<number>;
  exists(): Promise<boolean>;
  remove(): Promise<void>;
}

/** The volume of a drive in the pool that a server has when no pools are configured. */
export async function storedVolume(
  { dataDirectory }: Pick<ServerProcess, 'dataDirectory'>,
  drive: string,
): Promise<StoredVolume> {
  if (nodeCount() > 1) {
    const { pool, namespace } = await sharedPlace(dataDirectory);
    return storedImage(`${pool}/${namespace}/drivebay-${drive}`);
  }
  return storedFile(join(dataDirectory, 'pools/default/drives', drive.slice(0, 2), `${drive}.img`));
}

function storedFile(path: string): StoredVolume {
  const allocatedBytes = async (): Promise<number> => (await stat(path)).blocks * 512;
  return {
    bytes: async () => await readFile(path),
    allocatedBytes,
    dataBytes: allocatedBytes,
    exists: async () => await isDone(allocatedBytes()),
    remove: async () => await rm(path),
  };
}

function storedImage(image: string): StoredVolume {
  const { rbd } = testCluster();
  const readAll = async (): Promise<Buffer> => {
    const path = join(tmpdir(), `drivebay-image-${randomUUID()}`);
    await rbd('export', '--no-progress', image, path);
    const bytes = await readFile(path);
    await rm(path);
    return bytes;
  };
  return {
    bytes: readAll,
    dataBytes: async () => countData(await readAll()),
    async allocatedBytes() {
      const extents = JSON.parse(await rbd('diff', '--format', 'json', image)) as { length: number }[];
      return extents.reduce((sum, { length }) => sum + length, 0);
    },
    exists: async () => await isDone(rbd('info', image)),
    remove: async () => void (await rbd('rm', '--no-progress', image)),
  };
}

/** Bytes in blocks that are not all zeros: what is zeroed in Ceph takes no room, though its object is there. */
function countData(bytes: Buffer): number {
  let dataBytes = 0;
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    if (bytes.subarray(at, at + BLOCK_BYTES).some((byte) => byte !== 0)) dataBytes += BLOCK_BYTES;
  }
  return dataBytes;
}

async function isDone(work: Promise<unknown>): Promise<boolean> {
  return await work.then(
    () => true,
    () => false,
  );
}

/** A LUKS volume as qemu-img takes it, out of what the export of its key says of where it is; its passphrase is the secret `k`. */
export function luksImage(volume: string): string {
  const [, pool, namespace, image, options] = /^rbd:([^/]+)\/(?:([^/]+)\/)?([^:]+):(.*)$/.exec(volume) ?? [];
  if (pool === undefined) return `driver=luks,key-secret=k,file.driver=file,file.filename=${volume}`;
  const { id: user, conf } = Object.fromEntries((options ?? '').split(':').map((each) => each.split('=')));
  const place = { driver: 'rbd', pool, ...(namespace === undefined ? {} : { namespace }), image, user, conf };
  const file = Object.entries(place).map(([key, value]) => `file.${key}=${String(value)}`);
  return ['driver=luks', 'key-secret=k', ...file].join(',');
}
