import { expect, test, vi } from 'vitest';
import { MIB } from '../core/sizes.ts';
import { createBench, createGate, fillNoise, QUICK_LIMITS, untilEmpty } from './scratch-bench.ts';
import type { Bench } from './scratch-bench.ts';

/** Two drives that are not encrypted, in one pool that makes volumes of another one's blocks. */
async function startBench(): Promise<Bench & { readonly made: string[] }> {
  const made: string[] = [];
  const bench = Object.assign(createBench(), {
    made,
    isEncrypted: false,
    onClone: (volumeName: string) => {
      made.push(volumeName);
      return Promise.resolve<string | null>(null);
    },
  });
  await fillNoise(bench.add('source', MIB), MIB);
  bench.add('target', MIB);
  return bench;
}

const volumeOf = (bench: Bench): string | undefined => bench.queue.drivesById.get('target')?.volumeName;

test('the target gets the volume that was made, and what it had is to be removed, as the job ends', async () => {
  const bench = await startBench();
  bench.queue.addJob({ source: 'source', target: 'target' });
  let straysMeanwhile: readonly string[] = [];
  const { onClone } = bench;
  bench.onClone = (volumeName) => {
    straysMeanwhile = [...bench.queue.strays];
    return onClone(volumeName);
  };
  await bench.runner().start();
  await untilEmpty(bench.queue);
  const [made = ''] = bench.made;
  expect(made).toMatch(/^target\.[0-9a-f]{12}$/);
  expect([volumeOf(bench), straysMeanwhile]).toEqual([made, [`default ${made}`]]);
  expect([...bench.queue.strays]).toEqual(['default target']);
  await vi.waitFor(() => expect(bench.left).toEqual(['default']));
  expect([bench.unshared, bench.failures]).toEqual([[], []]);
});

test('where blocks cannot be shared they are copied, and the log says why', async () => {
  const bench = await startBench();
  bench.onClone = () => Promise.resolve('it is a test');
  bench.queue.addJob({ source: 'source', target: 'target' });
  await bench.runner().start();
  await untilEmpty(bench.queue);
  expect(bench.unshared).toEqual([{ source: 'source', target: 'target', reason: 'it is a test' }]);
  expect(volumeOf(bench)).toBe('target');
  const [source, target] = [bench.drives.get('source'), bench.drives.get('target')];
  expect(target?.content().equals(source?.content() ?? Buffer.of())).toBe(true);
});

test.each([
  ['drives are encrypted, each with its own key', { isEncrypted: true }, {}],
  ['bytes are converted', {}, { conversion: 'gzip' as const }],
  ['a copy has been begun, it goes on', {}, { checkpointBytes: 0 }],
])('nothing is shared where %s', async (_why, ofBench, ofJob) => {
  const bench = Object.assign(await startBench(), ofBench);
  bench.queue.addJob({ source: 'source', target: 'target', ...ofJob });
  await bench.runner().start();
  await untilEmpty(bench.queue);
  expect([bench.made, [...bench.queue.strays], volumeOf(bench)]).toEqual([[], [], 'target']);
});

test('nothing is shared between two pools', async () => {
  const bench = await startBench();
  bench.add('target', MIB, 'another');
  bench.queue.addJob({ source: 'source', target: 'target' });
  await bench.runner().start();
  await untilEmpty(bench.queue);
  expect(bench.made).toEqual([]);
});

test('what a node has made whose lease was lost is to be removed, and each attempt makes another volume', async () => {
  const bench = await startBench();
  bench.queue.addJob({ source: 'source', target: 'target' });
  const late = createGate();
  const { onClone } = bench;
  bench.onClone = async (volumeName) => {
    const result = await onClone(volumeName);
    if (bench.made.length === 1) await late.opened;
    return result;
  };
  await bench.runner({ limits: { ...QUICK_LIMITS, progressMs: 3_600_000, leaseMs: 30 } }).start();
  await vi.waitFor(() => expect(bench.made).toHaveLength(1));
  await bench.runner({ nodeId: 'other' }).start();
  await untilEmpty(bench.queue);
  const [lost, taken] = bench.made;
  expect(volumeOf(bench)).toBe(taken);
  // Somebody who sweeps has found nothing there.
  bench.queue.strays.delete(`default ${lost}`);
  late.open();
  await vi.waitFor(() => expect([...bench.queue.strays]).toEqual(['default target', `default ${lost}`]));
  expect(volumeOf(bench)).toBe(taken);
});

test('an end that was recorded, though the answer was lost, is not taken back', async () => {
  const bench = await startBench();
  bench.queue.addJob({ source: 'source', target: 'target' });
  let isDoubtful = true;
  const { transaction } = bench.queue;
  bench.queue.transaction = async (work) => {
    const result = await transaction(work);
    if (!isDoubtful || bench.queue.jobs.length > 0) return result;
    isDoubtful = false;
    throw new Error('The answer was lost.');
  };
  await bench.runner().start();
  await vi.waitFor(() => expect(bench.left).toEqual(['default']));
  expect([volumeOf(bench), [...bench.queue.strays]]).toEqual([bench.made[0], ['default target']]);
});
