import { expect, test } from 'vitest';
import { noise } from '../../test/helpers/sample-bytes.ts';
import type { BlockDevice } from '../blockdev/block-device.ts';
import { fault } from '../blockdev/layers/fault.ts';
import { later } from '../blockdev/scratch-devices.ts';
import { createMemoryPool } from '../blockdev/memory/memory-pool.ts';
import { MAX_HEAD_BYTES, rangeSource, SEND_STEP_BYTES } from './range-source.ts';

const SIZE_BYTES = 3 * SEND_STEP_BYTES;
const CONTENT = noise('drive', SIZE_BYTES);
const HEAD = Buffer.from('HTTP/1.1 200 OK\r\n\r\n');
const ADDRESS = 4096;

async function newDevice(): Promise<BlockDevice> {
  const pool = createMemoryPool({});
  await pool.create('drive', SIZE_BYTES);
  const device = await pool.open('drive', 'read-write');
  await device.write(0, CONTENT);
  return device;
}

/** What the source gives, one after the other. */
function givenBy(device: BlockDevice, offsetBytes: number, lengthBytes: number): Buffer[] {
  const view = new Uint8Array(MAX_HEAD_BYTES + SEND_STEP_BYTES);
  const source = rangeSource(device, {
    range: { offsetBytes, lengthBytes },
    head: HEAD,
    view,
    address: ADDRESS,
  });
  const spans: Buffer[] = [];
  for (let span = source(); span !== null; span = source()) {
    expect(span.address).toBe(ADDRESS);
    spans.push(Buffer.from(view.subarray(0, span.lengthBytes)));
  }
  return spans;
}

test.each([
  [0, 1, 1],
  [5, SEND_STEP_BYTES, 1],
  [0, SEND_STEP_BYTES + 1, 2],
  [0, 2 * SEND_STEP_BYTES, 2],
  [0, SIZE_BYTES, 3],
  [7, SIZE_BYTES - 7, 3],
])('from %i, %i bytes are given in %i steps, with the head before the first', async (offset, size, steps) => {
  const spans = givenBy(await newDevice(), offset, size);
  expect(spans).toHaveLength(steps);
  expect(Buffer.concat(spans).equals(Buffer.concat([HEAD, CONTENT.subarray(offset, offset + size)]))).toBe(
    true,
  );
});

test('an error of the disk at the first step is thrown before anything is given', async () => {
  const device = fault(await newDevice(), [{ call: 'read', nth: 1, code: 'EIO' }]);
  expect(() => givenBy(device, 0, SIZE_BYTES)).toThrow(expect.objectContaining({ code: 'EIO' }));
});

test('an error of the disk at a later step is thrown there', async () => {
  const device = fault(await newDevice(), [{ call: 'read', nth: 2, code: 'EIO' }]);
  const view = new Uint8Array(MAX_HEAD_BYTES + SEND_STEP_BYTES);
  const range = { offsetBytes: 0, lengthBytes: SIZE_BYTES };
  const source = rangeSource(device, { range, head: HEAD, view, address: ADDRESS });
  expect(source()).toEqual({ address: ADDRESS, lengthBytes: HEAD.byteLength + SEND_STEP_BYTES });
  expect(source).toThrow(expect.objectContaining({ code: 'EIO' }));
});

test('a device that answers with promises is refused', async () => {
  const device = later(await newDevice());
  expect(() => givenBy(device, 0, 512)).toThrow('promises');
});

test('a device over a network is asked for as much at a time as there is memory for', async () => {
  const device = await newDevice();
  const reads: number[] = [];
  const remote: BlockDevice = {
    ...device,
    isRemote: true,
    sizeBytes: device.sizeBytes,
    read(offsetBytes, into) {
      reads.push(into.byteLength);
      return device.read(offsetBytes, into);
    },
  };
  const view = new Uint8Array(2 * SEND_STEP_BYTES + HEAD.byteLength);
  const range = { offsetBytes: 0, lengthBytes: SIZE_BYTES };
  const source = rangeSource(remote, { range, head: HEAD, view, address: ADDRESS });
  const sent: Uint8Array[] = [];
  for (let span = source(); span !== null; span = source()) sent.push(view.slice(0, span.lengthBytes));
  expect(reads).toEqual([2 * SEND_STEP_BYTES, SEND_STEP_BYTES]);
  expect(Buffer.concat(sent).equals(Buffer.concat([HEAD, CONTENT]))).toBe(true);
});
