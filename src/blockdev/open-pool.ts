import { checkDirectoryMark } from './file/directory-mark.ts';
import { createFilePool } from './file/file-pool.ts';
import type { PoolMarkCheck, PoolMarkRequest } from './pool-mark.ts';
import type { PoolSpec } from './pool-spec.ts';
import { RbdConnection } from './rbd/rbd-connection.ts';
import { checkRbdMark } from './rbd/rbd-mark.ts';
import { createRbdPool } from './rbd/rbd-pool.ts';
import type { StoragePool } from './storage-pool.ts';

/** A pool in one thread. */
export interface OpenPool {
  readonly pool: StoragePool;
  /** Looks whether it can be reached and is the one that is meant. */
  checkMark(request: PoolMarkRequest): PoolMarkCheck;
  /** Whether its devices, opened with a loop, work on many requests at a time; see `StoragePool.open`. */
  readonly isRemote: boolean;
}

/** Opens a pool of any kind. Nothing is waited for yet. */
export function openPool(spec: PoolSpec): OpenPool {
  switch (spec.kind) {
    case 'file': {
      const { directory } = spec;
      const checkMark = (request: PoolMarkRequest): PoolMarkCheck => checkDirectoryMark(directory, request);
      return { pool: createFilePool({ directory }), checkMark, isRemote: false };
    }
    case 'rbd': {
      const connection = new RbdConnection(spec);
      const pool = createRbdPool(spec, connection);
      return { pool, checkMark: (request) => checkRbdMark(connection, spec, request), isRemote: true };
    }
  }
}
