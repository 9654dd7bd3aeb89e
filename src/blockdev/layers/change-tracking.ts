import type { BlockDevice, Maybe, Range } from '../block-device.ts';
import { ensuring } from '../maybe.ts';

/** Takes note of what changes on a device, in the device's own offsets. */
export interface ChangeTracker {
  mark(range: Range): void;
}

/**
 * The device, of which every change is marked: after it has been made, also when it has failed half-way, and before the
 * caller knows of it. So whoever clears the marks and reads afterwards has missed nothing that is not marked again.
 */
export function changeTracking(device: BlockDevice, tracker: ChangeTracker): BlockDevice {
  const marking = (range: Range, work: () => Maybe<void>): Maybe<void> =>
    ensuring(work, () => tracker.mark(range));
  const rangeOf = (offsetBytes: number, { byteLength }: Uint8Array): Range => ({
    offsetBytes,
    lengthBytes: byteLength,
  });
  const { update } = device;
  return {
    blockSize: device.blockSize,
    isRemote: device.isRemote === true,
    get sizeBytes() {
      return device.sizeBytes;
    },
    read: (offsetBytes, into) => device.read(offsetBytes, into),
    write: (offsetBytes, from) => marking(rangeOf(offsetBytes, from), () => device.write(offsetBytes, from)),
    ...(update === undefined
      ? {}
      : {
          update: (range: Range, change: Parameters<typeof update>[1]) =>
            marking(range, () => update.call(device, range, change)),
        }),
    zero: (range) => marking(range, () => device.zero(range)),
    discard: (range) => marking(range, () => device.discard(range)),
    reserve: (range) => device.reserve(range),
    extents: (range) => device.extents(range),
    flush: () => device.flush(),
    resize: (sizeBytes) => device.resize(sizeBytes),
    close: () => device.close(),
  };
}
