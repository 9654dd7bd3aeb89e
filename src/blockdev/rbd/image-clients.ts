import type { DirectAccess } from '../direct-access.ts';
import type { RbdPlace } from '../pool-spec.ts';
import { isSystemError } from '../system-error.ts';
import { claimedImageName, imageName } from './image-name.ts';
import type { Image, Librbd } from './librbd.ts';
import { loadLibrbdClients } from './librbd-clients.ts';
import type { LibrbdClients } from './librbd-clients.ts';
import { addressOfNode, fenceAddress } from './node-fence.ts';
import type { RbdConnection } from './rbd-connection.ts';

/**
 * Images as other clients of Ceph use them. An image has one id and, for each claim, a name of its own: an object that
 * holds the id, just as those are that Ceph makes (`rbd_id.` and the name, see doc/dev/rbd-layering.rst and librbd's
 * `util::id_obj_name`). Without that object librbd and the kernel find no image of the name.
 *
 * The exclusive lock is not for the images themselves: who writes has to take it, and so leaves its address in the
 * cluster. The list of watchers forgets a client that has not been heard of for half a minute, but not what that still
 * has under way.
 */
export function createImageClients(
  place: RbdPlace,
  connection: RbdConnection,
  loadLibrbd: () => Librbd,
): DirectAccess {
  const calls = loadedOnce(loadLibrbd);
  return {
    offer({ volumeName, epoch }) {
      const { cephPool, namespace, monitors } = place;
      const image = claimedImageName(volumeName, epoch);
      const id = withImage(calls().librbd, connection, volumeName, 'read-write', (opened) => {
        calls().clients.setExclusiveLock(opened, true);
        return calls().clients.idOf(opened);
      });
      connection.rados.writeObject(connection.pool, idObjectName(image), encodeText(id));
      return { cephPool, namespace, image, monitors };
    },
    withdraw({ volumeName, epoch }) {
      connection.rados.removeObject(connection.pool, idObjectName(claimedImageName(volumeName, epoch)));
      const clientsOf = (opened: Image): readonly string[] => {
        const { watchersOf, lockOwnersOf } = calls().clients;
        return [...new Set([...watchersOf(opened), ...lockOwnersOf(opened)])];
      };
      return ifThere(() => withImage(calls().librbd, connection, volumeName, 'read-only', clientsOf)) ?? [];
    },
    keepOut({ addresses, exceptNodes }) {
      const { rados } = connection;
      const handles = { cluster: connection.cluster, pool: connection.pool };
      // Read after the list was made: a node leaves its address before it opens anything.
      const own = new Set(exceptNodes.map((nodeId) => addressOfNode(rados, handles, nodeId)));
      const foreign = addresses.filter((address) => !own.has(address));
      for (const address of foreign) fenceAddress(rados, handles, address);
      return foreign.length;
    },
    reclaim(volumeName) {
      const unlock = (opened: Image): void => calls().clients.setExclusiveLock(opened, false);
      ifThere(() => withImage(calls().librbd, connection, volumeName, 'read-write', unlock));
    },
  };
}

function loadedOnce(
  loadLibrbd: () => Librbd,
): () => { readonly librbd: Librbd; readonly clients: LibrbdClients } {
  let loaded: { librbd: Librbd; clients: LibrbdClients } | null = null;
  return () => (loaded ??= { librbd: loadLibrbd(), clients: loadLibrbdClients() });
}

function withImage<Result>(
  librbd: Librbd,
  { pool }: RbdConnection,
  volumeName: string,
  access: 'read-only' | 'read-write',
  use: (image: Image) => Result,
): Result {
  const image = librbd.open(pool, imageName(volumeName), access);
  try {
    return use(image);
  } finally {
    librbd.close(image);
  }
}

/** Null for an image that there is no more: nobody uses it. */
function ifThere<Result>(use: () => Result): Result | null {
  try {
    return use();
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return null;
    throw error;
  }
}

function idObjectName(image: string): string {
  return `rbd_id.${image}`;
}

/** As Ceph encodes a text: its length in 32 bits, and its bytes. */
function encodeText(text: string): Uint8Array {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.byteLength);
  return Buffer.concat([length, bytes]);
}
