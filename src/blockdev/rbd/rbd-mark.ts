import { checkMark, POOL_MARK_NAME } from '../pool-mark.ts';
import type { PoolMarkCheck, PoolMarkRequest } from '../pool-mark.ts';
import type { RbdPlace } from '../pool-spec.ts';
import type { RbdConnection } from './rbd-connection.ts';

/** A mark is less than this. */
const MAX_MARK_BYTES = 4096;

/**
 * Checks that the RBD pool is the pool it is configured as, once the cluster is connected. The mark is an object among
 * the images: a Ceph pool or namespace that was made anew has none.
 */
export function checkRbdMark(
  connection: RbdConnection,
  { cephPool, namespace }: RbdPlace,
  request: PoolMarkRequest,
): PoolMarkCheck {
  const reason = connection.connect();
  if (reason !== null) return { ok: false, reason };
  const { rados, pool } = connection;
  const where = namespace === null ? cephPool : `${cephPool}/${namespace}`;
  return checkMark(
    {
      path: `object ${POOL_MARK_NAME} of the Ceph pool ${where}`,
      what: 'the Ceph pool',
      read() {
        const bytes = rados.readObject(pool, POOL_MARK_NAME, MAX_MARK_BYTES);
        return bytes === null ? null : Buffer.from(bytes).toString('utf8');
      },
      write: (text) => rados.writeObject(pool, POOL_MARK_NAME, Buffer.from(text)),
      missingReason:
        `the Ceph pool ${where} has no object ${POOL_MARK_NAME}, though this pool was used before: it is another ` +
        'pool or cluster, or was made anew. Configure the right one.',
    },
    request,
  );
}
