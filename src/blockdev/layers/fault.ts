import type { BlockDevice } from '../block-device.ts';
import { systemError } from '../system-error.ts';

/** The calls of a device that can be made to fail. */
export type DeviceCall = Exclude<keyof BlockDevice, 'blockSize' | 'sizeBytes'>;

/** One failure: the n-th call of an operation, counted from 1, throws an error with this code instead of being done. */
export interface PlannedFault {
  readonly call: DeviceCall;
  readonly nth: number;
  readonly code: string;
}

/** The device, but for the calls that the plan lets fail. For tests of what is built on devices. */
export function fault(device: BlockDevice, plan: readonly PlannedFault[]): BlockDevice {
  const counts = new Map<DeviceCall, number>();
  const counted = (call: DeviceCall): void => {
    const nth = (counts.get(call) ?? 0) + 1;
    counts.set(call, nth);
    const planned = plan.find((entry) => entry.call === call && entry.nth === nth);
    if (planned !== undefined) throw systemError(planned.code, call);
  };
  function wrapped<Args extends readonly unknown[], Result>(
    call: DeviceCall,
    run: (...args: Args) => Result,
  ): (...args: Args) => Result {
    return (...args) => {
      counted(call);
      return run(...args);
    };
  }
  return {
    blockSize: device.blockSize,
    get sizeBytes() {
      return device.sizeBytes;
    },
    read: wrapped('read', (offsetBytes: number, into: Uint8Array) => device.read(offsetBytes, into)),
    write: wrapped('write', (offsetBytes: number, from: Uint8Array) => device.write(offsetBytes, from)),
    zero: wrapped('zero', (range) => device.zero(range)),
    discard: wrapped('discard', (range) => device.discard(range)),
    reserve: wrapped('reserve', (range) => device.reserve(range)),
    extents: wrapped('extents', (range) => device.extents(range)),
    flush: wrapped('flush', () => device.flush()),
    resize: wrapped('resize', (sizeBytes: number) => device.resize(sizeBytes)),
    close: wrapped('close', () => device.close()),
  };
}
