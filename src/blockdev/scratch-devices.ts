import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createXtsEngine } from '../crypto/xts.ts';
import type { XtsEngine } from '../crypto/xts.ts';
import type { BlockDevice, Maybe } from './block-device.ts';
import type { ScratchDevice } from './describe-block-device.ts';
import type { ScratchPool } from './describe-storage-pool.ts';
import { createFilePool } from './file/file-pool.ts';
import { createMemoryPool } from './memory/memory-pool.ts';

// What tests of devices are built from.

export const SCRATCH_DRIVE = '0a0b0c0d-1111-4222-8333-444455556666';

/** An empty file pool in a directory of its own. */
export function scratchFilePool(parent = tmpdir()): ScratchPool & { readonly directory: string } {
  const directory = mkdtempSync(join(parent, 'drivebay-pool-'));
  return {
    directory,
    pool: createFilePool({ directory }),
    dispose: async () => rmSync(directory, { recursive: true, force: true }),
  };
}

export function scratchMemoryPool(capacityBytes?: number): ScratchPool {
  const pool = createMemoryPool(capacityBytes === undefined ? {} : { capacityBytes });
  return { pool, dispose: async () => undefined };
}

/** A device of one volume in a pool, as `wrap` makes it of the volume's own. */
export async function scratchDevice(
  { pool, dispose }: ScratchPool,
  storedBytes: number,
  wrap: (device: BlockDevice) => BlockDevice = (device) => device,
): Promise<ScratchDevice> {
  await pool.create(SCRATCH_DRIVE, storedBytes);
  const open = async (): Promise<BlockDevice> => wrap(await pool.open(SCRATCH_DRIVE, 'read-write'));
  return { device: await open(), reopen: open, dispose };
}

/** An engine over a memory of its own. */
export function scratchEngine(): XtsEngine {
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 16, shared: true });
  return createXtsEngine({ memory, scratch: { address: 65536, lengthBytes: 576 * 1024 } });
}

/** The same device, but every call answers a promise that settles later, as those of remote storage do. */
export function later(device: BlockDevice): BlockDevice {
  const soon = async <Result>(call: () => Maybe<Result>): Promise<Result> => {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    return await call();
  };
  return {
    blockSize: device.blockSize,
    get sizeBytes() {
      return device.sizeBytes;
    },
    read: (offsetBytes, into) => soon(() => device.read(offsetBytes, into)),
    write: (offsetBytes, from) => soon(() => device.write(offsetBytes, from)),
    zero: (range) => soon(() => device.zero(range)),
    discard: (range) => soon(() => device.discard(range)),
    reserve: (range) => soon(() => device.reserve(range)),
    extents: (range) => soon(() => device.extents(range)),
    flush: () => soon(() => device.flush()),
    resize: (sizeBytes) => soon(() => device.resize(sizeBytes)),
    close: () => soon(() => device.close()),
  };
}
