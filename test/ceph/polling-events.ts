import type { DeviceEvents } from '../../src/blockdev/block-device.ts';

/** A loop that looks at its descriptors all the time. */
export function pollingEvents(): DeviceEvents & Disposable {
  const watched = new Map<number, () => void>();
  const timer = setInterval(() => watched.forEach((onReadable) => onReadable()), 1);
  return {
    watch: (descriptor, onReadable) => void watched.set(descriptor, onReadable),
    unwatch: (descriptor) => void watched.delete(descriptor),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
