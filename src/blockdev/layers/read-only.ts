import type { BlockDevice } from '../block-device.ts';
import { systemError } from '../system-error.ts';

/** The device without the calls that change it: they throw EROFS. */
export function readOnly(device: BlockDevice): BlockDevice {
  const refuse = (): never => {
    throw systemError('EROFS', 'write');
  };
  return {
    blockSize: device.blockSize,
    isRemote: device.isRemote === true,
    get sizeBytes() {
      return device.sizeBytes;
    },
    read: (offsetBytes, into) => device.read(offsetBytes, into),
    write: refuse,
    zero: refuse,
    discard: refuse,
    reserve: refuse,
    extents: (range) => device.extents(range),
    flush: () => device.flush(),
    resize: refuse,
    close: () => device.close(),
  };
}
