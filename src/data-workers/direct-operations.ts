import type { DirectAccess } from '../blockdev/direct-access.ts';
import type { StoragePool } from '../blockdev/storage-pool.ts';
import { systemError } from '../blockdev/system-error.ts';
import type { OperationRequest } from './protocol.ts';

/** The operations for programs that reach volumes past Drivebay. */
export type DirectRequest = Extract<OperationRequest, { op: 'offer' | 'withdraw' | 'keepOut' | 'reclaim' }>;

export async function performDirect(pool: StoragePool, request: DirectRequest): Promise<unknown> {
  const direct = directAccessOf(pool);
  switch (request.op) {
    case 'offer':
      return await direct.offer(request);
    case 'withdraw':
      return await direct.withdraw(request);
    case 'keepOut':
      return await direct.keepOut(request);
    case 'reclaim':
      return await direct.reclaim(request.volumeName);
  }
}

function directAccessOf({ direct }: StoragePool): DirectAccess {
  if (direct !== undefined) return direct;
  throw systemError('ENOTSUP', 'offer', 'volumes of this pool are reached through Drivebay alone');
}
