import * as fc from 'fast-check';
import { expect } from 'vitest';
import type { BlockDevice, Range } from './block-device.ts';

/** A call on a device, in blocks. */
export type DeviceCommand =
  | { readonly call: 'write'; readonly first: number; readonly count: number; readonly value: number }
  | { readonly call: 'zero' | 'discard' | 'reserve'; readonly first: number; readonly count: number }
  | { readonly call: 'resize'; readonly count: number };

/** Random sequences of calls on a device of up to twice the size. */
export function deviceCommands(blockSize: number, sizeBytes: number): fc.Arbitrary<readonly DeviceCommand[]> {
  const blocks = fc.nat(Math.floor((2 * sizeBytes) / blockSize));
  const value = fc.integer({ min: 1, max: 255 });
  const write = fc.record({ call: fc.constant('write' as const), first: blocks, count: blocks, value });
  const ranged = fc.record({
    call: fc.constantFrom('zero' as const, 'discard' as const, 'reserve' as const),
    first: blocks,
    count: blocks,
  });
  const resize = fc.record({ call: fc.constant('resize' as const), count: blocks });
  const command = fc.oneof({ arbitrary: write, weight: 4 }, { arbitrary: ranged, weight: 3 }, resize);
  return fc.array(command, { maxLength: 25 });
}

/** Does the calls on the device and on a plain buffer, and compares what is read after each. */
export async function runAgainstModel(
  device: BlockDevice,
  commands: readonly DeviceCommand[],
): Promise<void> {
  let model = Buffer.alloc(device.sizeBytes);
  for (const command of commands) {
    model = await step(device, model, command);
    const bytes = Buffer.alloc(device.sizeBytes, 0xee);
    await device.read(0, bytes);
    expect(bytes.equals(model), `after ${JSON.stringify(command)}`).toBe(true);
    await checkExtents(device, model);
  }
}

async function step(
  device: BlockDevice,
  model: Buffer<ArrayBuffer>,
  command: DeviceCommand,
): Promise<Buffer<ArrayBuffer>> {
  const unit = device.blockSize;
  if (command.call === 'resize') {
    const resized = Buffer.alloc(command.count * unit);
    model.copy(resized);
    await device.resize(resized.byteLength);
    return resized;
  }
  const offsetBytes = Math.min(command.first * unit, model.byteLength);
  const lengthBytes = Math.min(command.count * unit, model.byteLength - offsetBytes);
  const range = { offsetBytes, lengthBytes };
  if (command.call === 'write') {
    const bytes = Buffer.alloc(lengthBytes, command.value);
    await device.write(offsetBytes, bytes);
    bytes.copy(model, offsetBytes);
    return model;
  }
  await device[command.call](range);
  if (command.call === 'zero') model.fill(0, offsetBytes, offsetBytes + lengthBytes);
  if (command.call === 'discard') await followDiscard(device, model, range);
  return model;
}

/** A discard may zero any of its bytes: the model takes over which. */
async function followDiscard(device: BlockDevice, model: Buffer, range: Range): Promise<void> {
  const bytes = Buffer.alloc(range.lengthBytes);
  await device.read(range.offsetBytes, bytes);
  for (const [index, byte] of bytes.entries()) if (byte === 0) model[range.offsetBytes + index] = 0;
}

async function checkExtents(device: BlockDevice, model: Buffer): Promise<void> {
  const extents = await device.extents({ offsetBytes: 0, lengthBytes: device.sizeBytes });
  expect(extents.reduce((sum, extent) => sum + extent.lengthBytes, 0)).toBe(device.sizeBytes);
  for (const { kind, offsetBytes, lengthBytes } of extents) {
    if (kind === 'data') continue;
    const hole = model.subarray(offsetBytes, offsetBytes + lengthBytes);
    expect(hole.equals(Buffer.alloc(lengthBytes))).toBe(true);
  }
}
