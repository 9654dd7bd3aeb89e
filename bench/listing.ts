import { request } from 'node:http';
import { join } from 'node:path';
import { NO_COUNTERS } from '../src/core/drive.ts';
import type { Drive } from '../src/core/drive.ts';
import { NO_LIMITS } from '../src/core/drive-limits.ts';
import type { MetadataStore } from '../src/metadata/metadata-store.ts';
import { openSqliteStore } from '../src/metadata/sqlite/sqlite-store.ts';
import { basic, startDrivebay } from './lib/drivebay-server.ts';
import type { DrivebayServer } from './lib/drivebay-server.ts';
import type { Benchmark, BenchContext, Row } from './lib/measure.ts';

const MANY = 100_000;
const FEW = 1_000;

interface Listing {
  readonly firstByteMs: number;
  readonly totalMs: number;
}

/** `/drives/info` over many drives against few, and what start-up and memory cost with many drives and none. */
export const listing: Benchmark = {
  name: 'listing',
  async run(context) {
    const few = await measureServer(context, 'few', FEW);
    const many = await measureServer(context, 'many', MANY);
    const empty = await measureServer(context, 'empty', 0);
    const perDrive = (listings: readonly Listing[], drives: number): number[] =>
      listings.map((each) => (each.totalMs * 1000) / drives);
    const first = (listings: readonly Listing[]): number[] => listings.map((each) => each.firstByteMs);
    return [
      compare(
        'time per drive of /drives/info',
        'µs',
        [perDrive(many.listings, MANY), perDrive(few.listings, FEW)],
        1,
      ),
      compare('first byte of /drives/info', 'ms', [first(many.listings), first(few.listings)], 1 / 3),
      compare('resident memory after listing', 'MiB', [[many.listedMib], [few.listedMib]], null),
      { ...compare('start to ready', 'ms', [many.readyMs, empty.readyMs], null), peerName: 'with no drives' },
      {
        ...compare('resident memory, idle', 'MiB', [many.idleMib, empty.idleMib], null),
        peerName: 'with no drives',
      },
    ];
  },
};

function compare(
  work: string,
  unit: string,
  [ours, peer]: readonly [readonly number[], readonly number[]],
  target: number | null,
): Row {
  return {
    work: `${work}, 100,000 drives`,
    unit,
    ours,
    peer,
    peerName: 'with 1,000 drives',
    better: 'lower',
    target,
  };
}

async function measureServer(
  context: BenchContext,
  name: string,
  drives: number,
): Promise<{ listings: Listing[]; listedMib: number; readyMs: number[]; idleMib: number[] }> {
  const dataDirectory = join(context.diskDirectory, name);
  await fillMetadata(dataDirectory, drives);
  const readyMs: number[] = [];
  const idleMib: number[] = [];
  for (let run = 0; run < context.runs; run += 1) {
    await using server = await startDrivebay(dataDirectory);
    readyMs.push(server.readyMs);
    await new Promise((resolve) => {
      setTimeout(resolve, 1000);
    });
    idleMib.push(server.residentMib());
  }
  await using server = await startDrivebay(dataDirectory);
  await listAll(server);
  const listings: Listing[] = [];
  for (let run = 0; run < context.runs; run += 1) listings.push(await listAll(server));
  return { listings, readyMs, idleMib, listedMib: server.residentMib() };
}

/** Puts drives into the metadata of a fresh data directory; their volumes are not needed for this. */
async function fillMetadata(dataDirectory: string, drives: number): Promise<void> {
  {
    await using _server = await startDrivebay(dataDirectory);
  }
  const store = await openSqliteStore({ path: join(dataDirectory, 'metadata.sqlite') });
  const [admin] = await store.users.list({ after: null, limit: 1 });
  if (admin === undefined) throw new Error('There is no user.');
  for (let index = 0; index < drives; index += 1000)
    await insertDrives(store, admin.userId, Math.min(1000, drives - index));
  await store.close();
}

async function insertDrives(store: MetadataStore, userId: string, count: number): Promise<void> {
  await store.transaction(async (tx) => {
    for (let index = 0; index < count; index += 1) {
      const driveId = crypto.randomUUID();
      const drive: Drive = {
        driveId,
        userId,
        name: `drive ${index}`,
        sizeBytes: 1024 ** 3,
        claimType: 'exclusive',
        cipher: 'none',
        tier: 'disk',
        poolName: 'default',
        volumeName: driveId,
        state: 'ready',
        readers: [],
        tags: ['bench'],
        attributes: { purpose: 'bench' },
        counters: NO_COUNTERS,
        limits: NO_LIMITS,
        directEpoch: null,
        imagingError: null,
        createdAtMs: Date.now(),
      };
      await tx.drives.insert(drive, null);
    }
  });
}

/** Lists every drive's info, throwing the answer away. */
async function listAll(server: DrivebayServer): Promise<Listing> {
  const startedAtMs = performance.now();
  let firstByteMs = 0;
  await new Promise<void>((resolve, reject) => {
    const options = {
      port: server.port,
      path: '/drives/info',
      headers: { authorization: basic(server.auth) },
    };
    const call = request(options, (answer) => {
      answer.on('data', () => {
        if (firstByteMs === 0) firstByteMs = performance.now() - startedAtMs;
      });
      answer.on('end', resolve);
      answer.on('error', reject);
    });
    call.on('error', reject);
    call.end();
  });
  return { firstByteMs, totalMs: performance.now() - startedAtMs };
}
