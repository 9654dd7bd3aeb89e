import { gzipSync } from 'node:zlib';
import { expect, test, vi } from 'vitest';
import { DriveError } from '../core/errors.ts';
import { MIB } from '../core/sizes.ts';
import type { ImagingRequest } from './imaging-protocol.ts';
import {
  createBench,
  createGate,
  fillNoise,
  fillUsed,
  QUICK_LIMITS,
  ROOM,
  untilEmpty,
} from './scratch-bench.ts';
import { fillScratch, holdSame } from './scratch-drive.ts';

test('a queued copy is done, and what the target held before is gone', async () => {
  const bench = createBench();
  const source = bench.add('source', 100 * MIB);
  const target = bench.add('target', 120 * MIB);
  await fillNoise(source, 80 * MIB);
  await fillScratch(target, 110 * MIB, Buffer.from('left over'));
  bench.queue.addJob({ source: 'source', target: 'target' });
  await bench.runner().start();
  await untilEmpty(bench.queue);
  const copied = target.content();
  expect(copied.subarray(0, 100 * MIB).equals(source.content())).toBe(true);
  expect(copied.subarray(100 * MIB).equals(Buffer.alloc(20 * MIB))).toBe(true);
  expect(bench.queue.drivesById.get('target')?.imagingError).toBeNull();
});

test('a job that is added while the runner sleeps is taken up when it is woken', async () => {
  const bench = createBench();
  await fillNoise(bench.add('source', MIB), MIB);
  const target = bench.add('target', MIB);
  const limits = { ...QUICK_LIMITS, pollMs: 3_600_000 };
  const runner = bench.runner({ limits });
  await runner.start();
  bench.queue.addJob({ source: 'source', target: 'target', conversion: 'gzip' });
  runner.wake();
  await untilEmpty(bench.queue);
  expect(target.content().readUInt16BE(0)).toBe(0x1f8b);
});

test('a failure leaves its sentence with the target and no job', async () => {
  const bench = createBench();
  bench.add('source', MIB);
  bench.add('target', MIB);
  bench.queue.addJob({ source: 'source', target: 'target', conversion: 'gunzip' });
  await bench.runner().start();
  await untilEmpty(bench.queue);
  const sentence = 'Drive source does not begin with a gzip stream.';
  expect(bench.queue.drivesById.get('target')?.imagingError).toBe(sentence);
  expect(bench.failures).toEqual([]);
});

test('an error of the disk is told in words, and its cause goes to the log', async () => {
  const bench = createBench();
  await fillNoise(bench.add('source', MIB), MIB);
  bench.add('target', MIB).failAfterWrites = 0;
  bench.queue.addJob({ source: 'source', target: 'target' });
  await bench.runner().start();
  await untilEmpty(bench.queue);
  expect(bench.queue.drivesById.get('target')?.imagingError).toBe(
    'Reading or writing failed in pool default (EIO).',
  );
  expect(bench.failures).toHaveLength(1);
});

test('a flush that fails once fails the copy, though a second flush would succeed', async () => {
  const bench = createBench();
  await fillNoise(bench.add('source', 200 * MIB), 200 * MIB);
  bench.add('target', 200 * MIB);
  const copied = createGate();
  let flushes = 0;
  bench.onOperation = async ({ op }) => {
    if (op === 'copy') await new Promise((resolve) => setTimeout(resolve, 10));
    if (op !== 'flush') return;
    flushes += 1;
    if (flushes > 1) return;
    copied.open();
    throw Object.assign(new Error('The flush failed.'), { code: 'EIO' });
  };
  bench.queue.addJob({ source: 'source', target: 'target' });
  await bench.runner().start();
  await copied.opened;
  await untilEmpty(bench.queue);
  expect(bench.queue.drivesById.get('target')?.imagingError).toContain('(EIO)');
});

test.each(['ESHUTDOWN', 'ENOTCONN'])(
  'a node that others keep out of a pool (%s) goes on later',
  async (code) => {
    const bench = createBench();
    await fillNoise(bench.add('source', MIB), MIB);
    bench.add('target', MIB);
    let isKeptOut = true;
    bench.onOperation = ({ op }) => {
      if (op !== 'copy' || !isKeptOut) return Promise.resolve();
      isKeptOut = false;
      return Promise.reject(Object.assign(new Error('It is kept out.'), { code }));
    };
    bench.queue.addJob({ source: 'source', target: 'target' });
    await bench.runner().start();
    await untilEmpty(bench.queue);
    expect(isKeptOut).toBe(false);
    expect(bench.queue.drivesById.get('target')?.imagingError).toBeNull();
    expect(bench.failures).toEqual([]);
  },
);

test('no room in the pool fails the job with what admission says', async () => {
  const bench = createBench();
  await fillNoise(bench.add('source', MIB), MIB);
  bench.add('target', MIB);
  bench.queue.addJob({ source: 'source', target: 'target' });
  const admit = (): Promise<never> =>
    Promise.reject(new DriveError('full', 'Pool default has no room left.'));
  const pools = { statusOf: () => ROOM, admit, refresh: () => Promise.resolve() };
  await bench.runner({ pools }).start();
  await untilEmpty(bench.queue);
  expect(bench.queue.drivesById.get('target')?.imagingError).toBe('Pool default has no room left.');
});

test('a stopped copy continues at its checkpoint and does not empty the target again', async () => {
  const bench = createBench();
  const source = bench.add('source', 320 * MIB);
  await fillNoise(source, 320 * MIB);
  await source.device.zero({ offsetBytes: 300 * MIB, lengthBytes: 5 * MIB });
  await fillScratch(source, 310 * MIB, Buffer.alloc(5 * MIB));
  const target = bench.add('target', 320 * MIB);
  await fillUsed(target);
  const jobId = bench.queue.addJob({ source: 'source', target: 'target' });
  const halfway = createGate();
  let copies = 0;
  bench.onOperation = async ({ op }) => {
    if (op !== 'copy') return;
    copies += 1;
    if (copies === 5) halfway.open();
    await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const first = bench.runner();
  await first.start();
  await halfway.opened;
  await first.stop();
  const [stopped] = bench.queue.jobs;
  expect(stopped).toMatchObject({ jobId, state: 'queued', leaseOwner: null });
  expect(stopped?.checkpointBytes).toBeGreaterThan(0);
  const operations: ImagingRequest[] = [];
  bench.onOperation = (request) => {
    operations.push(request);
  };
  await bench.runner().start();
  await untilEmpty(bench.queue);
  expect(operations.map(({ op }) => op)).not.toContain('empty');
  const offsets = operations
    .filter(({ op }) => op === 'copy')
    .map((each) => ('stretches' in each ? (each.stretches[0]?.offsetBytes ?? 0) : 0));
  expect(Math.min(...offsets)).toBe(stopped?.checkpointBytes);
  expect(await holdSame(target, source)).toBe(true);
});

test('a conversion that was under way begins again from an empty target', async () => {
  const bench = createBench();
  await fillScratch(bench.add('source', MIB), 0, gzipSync('new'));
  const target = bench.add('target', MIB);
  await fillScratch(target, MIB / 2, Buffer.from('half done'));
  const held = {
    state: 'running',
    leaseOwner: 'node',
    leaseExpiresAtMs: Infinity,
    checkpointBytes: 0,
  } as const;
  bench.queue.addJob({ source: 'source', target: 'target', conversion: 'gunzip', ...held });
  await bench.runner().start();
  await untilEmpty(bench.queue);
  expect(target.content().equals(Buffer.concat([Buffer.from('new'), Buffer.alloc(MIB - 3)]))).toBe(true);
});

test('what another node works on is left alone until its lease has run out', async () => {
  const bench = createBench();
  bench.add('source', MIB);
  bench.add('theirs', MIB);
  bench.add('dead', MIB);
  const running = { state: 'running', leaseOwner: 'other' } as const;
  bench.queue.addJob({ source: 'source', target: 'theirs', ...running, leaseExpiresAtMs: Infinity });
  bench.queue.addJob({ source: 'source', target: 'dead', ...running, leaseExpiresAtMs: 1 });
  await bench.runner().start();
  await vi.waitFor(() => expect(bench.queue.jobs).toHaveLength(1));
  expect(bench.queue.jobs[0]).toMatchObject({ targetDriveId: 'theirs', leaseOwner: 'other' });
});

test('a job whose lease is lost stops writing, and leaves the job to its new owner', async () => {
  const bench = createBench();
  await fillNoise(bench.add('source', 200 * MIB), 200 * MIB);
  const target = bench.add('target', 200 * MIB);
  bench.queue.addJob({ source: 'source', target: 'target' });
  const begun = createGate();
  const lost = createGate();
  const closed = createGate();
  bench.onOperation = async ({ op }) => {
    if (op === 'close') closed.open();
    if (op !== 'copy') return;
    begun.open();
    await lost.opened;
  };
  await bench.runner().start();
  await begun.opened;
  const [job] = bench.queue.jobs;
  if (job === undefined) throw new Error('There is no job.');
  bench.queue.jobs[0] = { ...job, leaseOwner: 'other', leaseExpiresAtMs: Infinity };
  const recordings = bench.queue.recorded.length;
  await vi.waitFor(() => expect(bench.queue.recorded.length).toBeGreaterThan(recordings));
  lost.open();
  await closed.opened;
  expect(target.counts.writes).toBe(0);
  expect(bench.queue.jobs).toMatchObject([{ leaseOwner: 'other', state: 'running' }]);
});

test('a job whose lease cannot be renewed in time stops writing by itself', async () => {
  const bench = createBench();
  await fillNoise(bench.add('source', 200 * MIB), 200 * MIB);
  const target = bench.add('target', 200 * MIB);
  bench.queue.addJob({ source: 'source', target: 'target' });
  const closed = createGate();
  bench.onOperation = async ({ op }) => {
    if (op === 'close') closed.open();
    if (op !== 'copy') return;
    bench.queue.failure = new Error('The database is away.');
    await new Promise((resolve) => setTimeout(resolve, 150));
  };
  await bench.runner({ limits: { ...QUICK_LIMITS, leaseMs: 50 } }).start();
  await closed.opened;
  expect(target.counts.writes).toBe(0);
});

test('a job of an inactive pool waits, those behind it do not, and it runs when the pool is back', async () => {
  const bench = createBench();
  bench.add('source', MIB);
  bench.add('waits', MIB, 'away');
  bench.add('runs', MIB);
  bench.statuses.set('away', { isActive: false, reason: 'Pool away is not mounted.' });
  bench.queue.addJob({ source: 'source', target: 'waits' });
  bench.queue.addJob({ source: 'source', target: 'runs' });
  await bench.runner({ limits: { ...QUICK_LIMITS, parallelJobs: 1 } }).start();
  await vi.waitFor(() => expect(bench.queue.jobs.map((job) => job.targetDriveId)).toEqual(['waits']));
  await vi.waitFor(() => expect(bench.queue.jobs[0]?.state).toBe('queued'));
  bench.statuses.delete('away');
  await untilEmpty(bench.queue);
  expect(bench.queue.drivesById.get('waits')?.imagingError).toBeNull();
});

test('jobs beyond the parallel ones stay queued, but one whose pool stalls makes place', async () => {
  const bench = createBench();
  for (const driveId of ['source', 'first', 'second', 'third']) bench.add(driveId, MIB, `pool-${driveId}`);
  for (const target of ['first', 'second', 'third']) bench.queue.addJob({ source: 'source', target });
  const released = createGate();
  bench.onOperation = async ({ op }) => {
    if (op === 'empty') await released.opened;
  };
  const runner = bench.runner();
  await runner.start();
  const states = (): string[] => bench.queue.jobs.map((job) => job.state);
  await vi.waitFor(() => expect(states()).toEqual(['running', 'running', 'queued']));
  bench.statuses.set('pool-first', { isActive: false, reason: 'Pool pool-first has not answered for 10 s.' });
  await vi.waitFor(() => expect(states()).toEqual(['running', 'running', 'running']));
  released.open();
  await untilEmpty(bench.queue);
});

test('nothing is written before writes that were under way have ended', async () => {
  const bench = createBench();
  bench.add('source', MIB);
  await fillScratch(bench.add('target', MIB), 0, Buffer.from('still being written'));
  bench.queue.addJob({ source: 'source', target: 'target' });
  const quiet = createGate();
  const asked = createGate();
  const operations: string[] = [];
  bench.onOperation = ({ op }) => {
    operations.push(op);
  };
  const beforeStart = async (): Promise<void> => {
    asked.open();
    await quiet.opened;
  };
  await bench.runner({ beforeStart }).start();
  await asked.opened;
  expect(operations).toEqual([]);
  quiet.open();
  await untilEmpty(bench.queue);
});

test('progress grows to the amount of data and never goes back', async () => {
  const bench = createBench();
  await fillNoise(bench.add('source', 300 * MIB), 200 * MIB);
  bench.add('target', 300 * MIB);
  bench.queue.addJob({ source: 'source', target: 'target' });
  bench.onOperation = async ({ op }) => {
    if (op === 'copy') await new Promise((resolve) => setTimeout(resolve, 10));
  };
  await bench.runner().start();
  await untilEmpty(bench.queue);
  const done = bench.queue.recorded.map((progress) => progress.doneBytes);
  expect(done).toEqual([...done].sort((a, b) => a - b));
  const last = bench.queue.recorded.at(-1);
  expect(last?.totalBytes).toBe(200 * MIB);
  expect(bench.queue.recorded.some((progress) => progress.doneBytes > 0)).toBe(true);
});

test('a database that is away for a moment neither loses nor repeats the end of a job', async () => {
  const bench = createBench();
  bench.add('source', MIB);
  bench.add('target', MIB);
  bench.queue.addJob({ source: 'source', target: 'target' });
  let empties = 0;
  bench.onOperation = ({ op }) => {
    if (op === 'empty') empties += 1;
    if (op === 'close') bench.queue.failure = new Error('The database is away.');
  };
  await bench.runner().start();
  await vi.waitFor(() => expect(bench.failures.length).toBeGreaterThan(0));
  bench.queue.failure = null;
  await untilEmpty(bench.queue);
  expect(empties).toBe(1);
});
