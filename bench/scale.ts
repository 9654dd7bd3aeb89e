import { randomBytes, randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from '../scripts/build.ts';
import { openPostgresStore } from '../src/metadata/postgres/postgres-store.ts';
import type { PostgresOptions } from '../src/metadata/postgres/postgres-options.ts';
import { fillSql } from '../src/metadata/postgres/scratch-rows.ts';
import { databaseUrl, startScratchPostgres } from '../src/metadata/postgres/scratch-postgres.ts';
import type { ScratchPostgres } from '../src/metadata/postgres/scratch-postgres.ts';
import { BUILD_DIRECTORY, startDrivebay } from './lib/drivebay-server.ts';
import type { DrivebayServer } from './lib/drivebay-server.ts';
import { median, secondsOf } from './lib/measure.ts';

// node bench/scale.ts [DRIVES…]: what commands cost with so many drives in PostgreSQL, each number in a fresh database, as a
// Markdown table for docs/scaling.md. Commits are synced to the disk.

const counts = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [10_000, 100_000, 1_000_000];
const DRIVES_OF_A_USER = 2000;
const CREATES = 400;
const CLIENTS = 8;
const CALLS = 300;
const PAGES = 20;
const PAGE_DRIVES = 1000;
const LEASES = 200;

type Figures = Map<string, string>;

const ms = (values: readonly number[]): string => `${(median(values) * 1000).toFixed(1)} ms`;

async function repeat(times: number, work: () => Promise<unknown>): Promise<number[]> {
  const seconds: number[] = [];
  for (let index = 0; index < times; index += 1) seconds.push(await secondsOf(work));
  return seconds;
}

/** Every drive is a job of the queue while this is measured. */
async function measureQueue(options: PostgresOptions, figures: Figures): Promise<void> {
  const store = await openPostgresStore(options);
  const lease = { leaseOwner: 'bench', nowMs: 1, leaseExpiresAtMs: 2 ** 40 };
  const leases = await repeat(LEASES, () => store.transaction((tx) => tx.imaging.lease(lease)));
  figures.set('lease the next imaging job, every drive queued', ms(leases));
  await store.close();
}

async function createMany(server: DrivebayServer, cipher: string): Promise<string> {
  let left = CREATES;
  const latencies: number[] = [];
  const client = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const drive = { name: 'scale', size: 1024 ** 2, 'encryption:cipher': cipher };
      latencies.push(await secondsOf(() => server.call('POST', '/drives/create', drive)));
    }
  };
  const seconds = await secondsOf(() => Promise.all(Array.from({ length: CLIENTS }, client)));
  return `${(CREATES / seconds).toFixed(0)} /s, each ${ms(latencies)}`;
}

function randomUuid(): string {
  return randomBytes(16)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

async function startOn(dataDirectory: string, options: PostgresOptions): Promise<DrivebayServer> {
  return await startDrivebay(dataDirectory, [], { DRIVEBAY_METADATA: databaseUrl(options) });
}

async function measureServer(
  options: PostgresOptions,
  dataDirectory: string,
  figures: Figures,
): Promise<void> {
  await using server = await startOn(dataDirectory, options);
  figures.set('start to ready', `${(server.readyMs / 1000).toFixed(2)} s`);
  const page = (query = ''): Promise<unknown> =>
    server.call('GET', `/drives/list?limit=${PAGE_DRIVES}&after=${randomUuid()}${query}`);
  figures.set(`list a page of ${PAGE_DRIVES}`, ms(await repeat(PAGES, () => page())));
  const all = (await server.call('GET', `/drives/list?limit=${PAGE_DRIVES}`)) as { drive: string }[];
  const anyOf = (): string => all[randomInt(all.length)]?.drive ?? '';
  const infoPage = `/drives/info?limit=${PAGE_DRIVES}&after=`;
  figures.set(
    `info of a page of ${PAGE_DRIVES}`,
    ms(await repeat(PAGES, () => server.call('GET', `${infoPage}${randomUuid()}`))),
  );
  figures.set(`list a page of ${PAGE_DRIVES} with a tag`, ms(await repeat(PAGES, () => page('&tag=tag7'))));
  figures.set(
    'info of one drive',
    ms(await repeat(CALLS, () => server.call('GET', `/drives/${anyOf()}/info`))),
  );
  const set = (): Promise<unknown> => server.call('POST', `/drives/${anyOf()}/set`, { name: 'again' });
  figures.set('set a name', ms(await repeat(CALLS, set)));
  figures.set(`create, ${CLIENTS} clients, not encrypted`, await createMany(server, 'none'));
  figures.set(`create, ${CLIENTS} clients, encrypted`, await createMany(server, 'aes-xts-plain'));
  figures.set('resident memory afterwards', `${server.residentMib().toFixed(0)} MiB`);
}

/** Gives the measuring user 10,000 of the drives, and takes away what the server would begin to work on. */
async function prepareServer(postgres: ScratchPostgres, database: string, drives: number): Promise<void> {
  await postgres.query(
    `delete from imaging_jobs;
     delete from drive_keys;
     update claims set expires_at_ms = null;
     update drives set state = 'ready', pool_name = 'default', user_id = case
       when abs(hashtext(drive_id)) % ${Math.max(1, drives / 10_000)} > 0 then user_id
       else (select user_id from users where user_id not like 'user%') end;
     update drive_tags set user_id = drives.user_id from drives where drives.drive_id = drive_tags.drive_id;`,
    database,
  );
  await postgres.query('vacuum analyze', database);
}

async function measure(postgres: ScratchPostgres, drives: number): Promise<Figures> {
  const figures: Figures = new Map();
  const options = await postgres.createDatabase();
  const dataDirectory = await mkdtemp(join(tmpdir(), 'drivebay-scale-'));
  try {
    {
      await using _first = await startOn(dataDirectory, options);
    }
    const users = Math.max(1, drives / DRIVES_OF_A_USER);
    await postgres.query(fillSql({ drives, users }), options.database);
    await postgres.query('analyze', options.database);
    await measureQueue(options, figures);
    await prepareServer(postgres, options.database, drives);
    await measureServer(options, dataDirectory, figures);
    const [size] = await postgres.query(
      `select pg_database_size('${options.database}') as bytes`,
      options.database,
    );
    figures.set('database on disk', `${(Number(size?.['bytes']) / 1024 ** 2).toFixed(0)} MiB`);
    return figures;
  } finally {
    await rm(dataDirectory, { recursive: true });
  }
}

await build(BUILD_DIRECTORY);
await using postgres = await startScratchPostgres({
  isDurable: true,
  settings: ['shared_buffers = 1GB', 'max_wal_size = 8GB'],
});
const columns: Figures[] = [];
for (const drives of counts) {
  process.stderr.write(`${drives} drives\n`);
  columns.push(await measure(postgres, drives));
}
const table = [
  ['', ...counts.map((drives) => `${drives.toLocaleString('en')} drives`)],
  ['---', ...counts.map(() => '---')],
  ...[...(columns[0]?.keys() ?? [])].map((work) => [
    work,
    ...columns.map((column) => column.get(work) ?? ''),
  ]),
];
console.log(table.map((cells) => `| ${cells.join(' | ')} |`).join('\n'));
