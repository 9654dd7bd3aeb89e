import { expect, test } from 'vitest';
import { NO_DIGEST } from '../../src/core/body-digest.ts';
import { DRIVE_LOCK_BYTES } from '../../src/blockdev/layers/drive-lock.ts';
import { poolLife } from '../../src/blockdev/pool-lives.ts';
import { SCRATCH_DRIVE } from '../../src/blockdev/scratch-devices.ts';
import { MIB } from '../../src/core/sizes.ts';
import { XTS_SCRATCH_BYTES } from '../../src/crypto/xts.ts';
import { createArena } from '../../src/data-workers/arena.ts';
import { CONNECTION_STATS_BYTES } from '../../src/data-workers/connection-stats.ts';
import { startDataThread } from '../../src/data-workers/data-thread-client.ts';
import { RATE_LIMIT_BYTES } from '../../src/data-workers/rate-limit.ts';
import { createRbdPlace, openRbdPlace, rbdPoolSpec } from './scratch-rbd.ts';

const INSTALLATION = 'installation-1';
const OVER = expect.objectContaining({ code: 'ESHUTDOWN' });

test('what was let through before a node was kept out is not done over its new connection', async () => {
  const place = await createRbdPlace('earlier');
  const pool = rbdPoolSpec(place);
  const arena = createArena(XTS_SCRATCH_BYTES + 4 * MIB);
  const scratch = arena.reserve(XTS_SCRATCH_BYTES);
  const body = arena.reserve(MIB);
  const { memory } = arena;
  const setup = { memory, scratch, pool, installationId: INSTALLATION, transmission: null };
  const thread = startDataThread(setup, { now: () => performance.now(), onCrash: () => undefined });
  try {
    const lock = new SharedArrayBuffer(DRIVE_LOCK_BYTES);
    const spec = { volumeName: SCRATCH_DRIVE, poolName: 'earlier', sizeBytes: MIB, volumeKey: null, lock };
    expect(await thread.call('check', { mayMark: true })).toMatchObject({ reason: null });
    await thread.call('create', { spec, passphrase: null });
    const earlier = poolLife(pool.lives);

    const other = openRbdPlace({ ...place, nodeId: 'node-2' });
    const request = { poolName: 'earlier', installationId: INSTALLATION, mayCreate: false };
    expect(other.checkMark(request)).toMatchObject({ ok: true });
    await other.pool.fence?.(place.nodeId);
    // Each OSD hears of it a moment later.
    const check = () => thread.call('check', { mayMark: false }).catch((error: unknown) => error);
    await expect.poll(check).toMatchObject({ isReopened: true });
    const life = poolLife(pool.lives);

    const whole = { offsetBytes: 0, segments: [body], encryptedBytes: 0 };
    const task = { ...whole, digest: NO_DIGEST, isPoolLow: false };
    const write = { volumeName: SCRATCH_DRIVE, task: { ...task, encoding: 'identity' } } as const;
    await thread.ensureOpen(spec);
    await expect(thread.call('write', { ...write, life: earlier })).rejects.toEqual(OVER);
    const resize = { volumeName: SCRATCH_DRIVE, sizeBytes: MIB / 2 };
    await expect(thread.call('resize', { ...resize, life: earlier })).rejects.toEqual(OVER);
    const fill = { volumeName: SCRATCH_DRIVE, range: { offsetBytes: 0, lengthBytes: MIB } };
    await expect(thread.call('fillHoles', { ...fill, life: earlier })).rejects.toEqual(OVER);
    const connection = {
      connectionId: 1,
      life: earlier,
      spec,
      descriptor: -1,
      isReadOnly: false,
      form: 'simple',
      contextId: null,
      leftover: Buffer.alloc(0),
      limit: new SharedArrayBuffer(RATE_LIMIT_BYTES),
      stats: new SharedArrayBuffer(CONNECTION_STATS_BYTES),
      poolState: new SharedArrayBuffer(4),
    } as const;
    await expect(thread.call('attach', connection)).rejects.toEqual(OVER);
    expect(await thread.call('write', { ...write, life })).toMatchObject({ writtenBytes: MIB });
  } finally {
    await thread.stop();
  }
});
