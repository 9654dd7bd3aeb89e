import { nodeNameOf, serialOf } from './attached-drive.ts';
import type { RbdDrive } from './attached-drive.ts';
import type { QemuArguments } from './qemu-arguments.ts';
import { monitorHosts } from './rbd-image.ts';
import type { RbdImage } from './rbd-image.ts';

type Blockdev = QemuArguments['blockdev'];

/** See "RBD" and "LUKS" among the -blockdev drivers in QEMU's manual. */
export function rbdQemuArguments(drive: RbdDrive): QemuArguments {
  const { image, isReadOnly } = drive;
  const node = nodeNameOf(drive);
  const keyId = node.replace('drivebay-', 'drivebay-key-');
  const options = {
    'node-name': node,
    ...(isReadOnly ? { 'read-only': true } : { discard: 'unmap' }),
  };
  const isEncrypted = image.secretFile !== null;
  return {
    // A comma in a value is written twice there.
    object: isEncrypted ? `secret,id=${keyId},file=${image.secretFile.replaceAll(',', ',,')}` : null,
    blockdev: isEncrypted
      ? { driver: 'luks', ...options, 'key-secret': keyId, file: rbdBlockdev(image) }
      : { ...rbdBlockdev(image), ...options },
    device: `virtio-blk-pci,drive=${node},serial=${serialOf(drive)}`,
  };
}

function rbdBlockdev(image: RbdImage): Blockdev {
  const { cephPool, namespace, name, user } = image;
  const server = monitorHosts(image);
  return {
    driver: 'rbd',
    pool: cephPool,
    ...(namespace === null ? {} : { namespace }),
    image: name,
    user,
    ...(server.length === 0 ? {} : { server }),
  };
}
