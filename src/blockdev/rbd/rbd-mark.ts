import { beginPoolLife } from '../pool-lives.ts';
import { checkMark, POOL_MARK_NAME } from '../pool-mark.ts';
import type { PoolMarkCheck, PoolMarkRequest } from '../pool-mark.ts';
import type { RbdPlace, RbdPoolSpec } from '../pool-spec.ts';
import { isSystemError } from '../system-error.ts';
import { registerClient } from './node-fence.ts';
import type { RbdConnection, RbdHandles } from './rbd-connection.ts';

/** A mark is less than this. */
const MAX_MARK_BYTES = 4096;

/**
 * Checks that the RBD pool is the pool it is configured as, and connects to its cluster if need be: at first, and again
 * when other nodes had this one kept out. The mark is an object among the images: a Ceph pool or namespace that was made
 * anew has none.
 */
export function checkRbdMark(
  connection: RbdConnection,
  spec: RbdPoolSpec,
  request: PoolMarkRequest,
): PoolMarkCheck {
  const { current } = connection;
  if (current !== null && !isKeptOut(connection, current))
    return readMark(connection, current, spec, request);
  connection.publish(null);
  const handles = connection.connect();
  if (typeof handles === 'string') return { ok: false, reason: handles };
  let check: PoolMarkCheck | null = null;
  try {
    check = readMark(connection, handles, spec, request);
    if (!check.ok) return check;
    // Whoever has to keep this node out can do so before it has opened anything.
    registerClient(connection.rados, handles, spec.nodeId);
    beginPoolLife(spec.lives);
    connection.publish(handles);
    return { ok: true, isReopened: true };
  } finally {
    if (connection.current === null) connection.rados.shutDown(handles.cluster);
  }
}

/** Whether the cluster takes nothing from this connection any more. */
function isKeptOut({ rados }: RbdConnection, { pool }: RbdHandles): boolean {
  try {
    rados.readObject(pool, POOL_MARK_NAME, 1);
    return false;
  } catch (error) {
    if (isSystemError(error, 'ESHUTDOWN')) return true;
    throw error;
  }
}

function readMark(
  { rados }: RbdConnection,
  { pool }: RbdHandles,
  { cephPool, namespace }: RbdPlace,
  request: PoolMarkRequest,
): PoolMarkCheck {
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
