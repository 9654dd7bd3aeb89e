import { randomBytes, randomInt } from 'node:crypto';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import type { BlockDevice } from '../../src/blockdev/block-device.ts';
import { DRIVE_LOCK_BYTES } from '../../src/blockdev/layers/drive-lock.ts';
import { createVolume, openVolume } from '../../src/blockdev/luks-volume.ts';
import type { OpenPool } from '../../src/blockdev/open-pool.ts';
import { SCRATCH_DRIVE, scratchEngine } from '../../src/blockdev/scratch-devices.ts';
import type { Volume } from '../../src/blockdev/volume.ts';
import { MIB } from '../../src/core/sizes.ts';
import { pollingEvents } from './polling-events.ts';
import { createRbdPlace, openRbdPlace } from './scratch-rbd.ts';

// One image that two nodes write to, neither of which knows of the other's locks.

const SIZE_BYTES = 12 * MIB;
const engine = scratchEngine();
const volumeKey = randomBytes(64);
let nodes: readonly [OpenPool, OpenPool];

beforeAll(async () => {
  const place = await createRbdPlace('shared-blocks');
  nodes = [openRbdPlace({ ...place, nodeId: 'node-1' }), openRbdPlace({ ...place, nodeId: 'node-2' })];
  for (const node of nodes) {
    const check = node.checkMark({ poolName: 'main', installationId: 'installation-1', mayCreate: true });
    if (!check.ok) throw new Error(check.reason);
  }
});

beforeEach(async () => {
  const encryption = { volumeKey, passphrase: 'a'.repeat(43) };
  await createVolume(nodes[0].pool, { volumeName: SCRATCH_DRIVE, sizeBytes: SIZE_BYTES, encryption });
});

async function openBoth(): Promise<readonly [BlockDevice, BlockDevice]> {
  const [one, other] = nodes;
  return [
    await one.pool.open(SCRATCH_DRIVE, 'read-write'),
    await other.pool.open(SCRATCH_DRIVE, 'read-write'),
  ];
}

async function bytesAt(device: BlockDevice, offsetBytes: number, lengthBytes: number): Promise<number[]> {
  const bytes = new Uint8Array(lengthBytes);
  await device.read(offsetBytes, bytes);
  return [...bytes];
}

test.each([
  ['data', 4 * MIB, [1, 1, 1, 1]],
  ['a hole', 8 * MIB, [0, 0, 0, 0]],
])('who changes blocks of %s that another has just written begins anew', async (_, offsetBytes, before) => {
  const [one, other] = await openBoth();
  await one.write(4 * MIB, new Uint8Array(4).fill(1));
  const seen: number[][] = [];
  await one.update?.({ offsetBytes, lengthBytes: 4 }, (bytes) => {
    seen.push([...bytes]);
    if (seen.length === 1) void other.write(offsetBytes + 2, new Uint8Array([7]));
    bytes[0] = 9;
    return 'write';
  });
  const [first = 0, second = 0, , last = 0] = before;
  expect(seen).toEqual([before, [first, second, 7, last]]);
  expect(await bytesAt(other, offsetBytes, 4)).toEqual([9, second, 7, last]);
  await one.close();
  await other.close();
});

test('a change that keeps a block writes nothing, and one that makes it zero leaves zeros', async () => {
  const [one, other] = await openBoth();
  await one.write(0, new Uint8Array(8).fill(1));
  await one.update?.({ offsetBytes: 0, lengthBytes: 4 }, (bytes) => {
    bytes.fill(8);
    return 'keep';
  });
  await one.update?.({ offsetBytes: 4, lengthBytes: 2 }, () => 'zero');
  expect(await bytesAt(other, 0, 8)).toEqual([1, 1, 1, 1, 0, 0, 1, 1]);
  await one.close();
  await other.close();
});

/** The drive as each of the nodes has it open, with a lock of its own. */
async function openVolumes(events: ReturnType<typeof pollingEvents>): Promise<readonly Volume[]> {
  return await Promise.all(
    nodes.map(async ({ pool }) => {
      const lock = new SharedArrayBuffer(DRIVE_LOCK_BYTES);
      const spec = { volumeName: SCRATCH_DRIVE, sizeBytes: SIZE_BYTES, volumeKey, lock };
      return await openVolume(pool, spec, { engine, access: 'read-write', events, waiting: 'event-loop' });
    }),
  );
}

test('unaligned writes of both nodes at the same time lose nothing of each other', async () => {
  using events = pollingEvents();
  const volumes = await openVolumes(events);
  const model = Buffer.alloc(20_000);
  for (let round = 0; round < 4; round += 1) {
    const cuts = [0, model.length, ...Array.from({ length: 60 }, () => randomInt(model.length))];
    const edges = [...new Set(cuts)].toSorted((a, b) => a - b);
    const writes = edges.slice(1).map(async (end, index) => {
      const start = edges[index] ?? 0;
      randomBytes(end - start).copy(model, start);
      await volumes[index % 2]?.write(start, model.subarray(start, end));
    });
    await Promise.all(writes);
    const found = Buffer.alloc(model.length);
    await volumes[0]?.read(0, found);
    expect(found.equals(model), `cuts ${edges.join(' ')}`).toBe(true);
  }
  for (const volume of volumes) await volume.close();
});
