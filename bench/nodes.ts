import { randomBytes, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { databaseUrl, startScratchPostgres } from '../src/metadata/postgres/scratch-postgres.ts';
import { basic, startDrivebay } from './lib/drivebay-server.ts';
import type { DrivebayServer } from './lib/drivebay-server.ts';
import { runHttpLoad } from './lib/http-load.ts';
import { inTurn } from './lib/measure.ts';
import type { Benchmark, Row } from './lib/measure.ts';

const DRIVES = 200;
const CONNECTIONS = 16;
const READS = 8000;
const CHANGES = 1600;

interface Calls {
  readonly work: string;
  readonly requests: number;
  readonly status: number;
  /** The request line, and the body or none. */
  readonly request: (drive: string) => readonly [string, string?];
}

const CALLS: readonly Calls[] = [
  { work: 'info', requests: READS, status: 200, request: (drive) => [`GET /drives/${drive}/info`] },
  {
    work: 'set',
    requests: CHANGES,
    status: 200,
    request: (drive) => [`POST /drives/${drive}/set`, 'name again'],
  },
  {
    work: 'create, not encrypted',
    requests: CHANGES,
    status: 200,
    request: () => ['POST /drives/create', 'size 1M\nencryption:cipher none'],
  },
];

/** Control calls to two nodes over one PostgreSQL, against one node. All of them, and the client, are on this machine. */
export const nodes: Benchmark = {
  name: 'nodes',
  async run({ diskDirectory, runs }) {
    await using postgres = await startScratchPostgres({ isDurable: true });
    const environment = {
      DRIVEBAY_METADATA: databaseUrl(await postgres.createDatabase()),
      DRIVEBAY_MASTER_KEY: randomBytes(32).toString('hex'),
      DRIVEBAY_ADMIN_USER: randomUUID(),
      DRIVEBAY_ADMIN_KEY: randomBytes(16).toString('hex'),
    };
    const start = async (name: string): Promise<DrivebayServer> => {
      const config = join(diskDirectory, `${name}.yaml`);
      const pools = [{ name, directory: join(diskDirectory, name, 'pools', name) }];
      writeFileSync(config, JSON.stringify({ pools }));
      return await startDrivebay(join(diskDirectory, name), ['--config', config], environment);
    };
    await using first = await start('one');
    await using second = await start('two');
    const drives: string[] = [];
    for (let index = 0; index < DRIVES; index += 1) {
      const drive = { name: 'bench', size: 2 ** 20, 'encryption:cipher': 'none' };
      drives.push(((await first.call('POST', '/drives/create', drive)) as { drive: string }).drive);
    }
    const rows: Row[] = [];
    for (const calls of CALLS) {
      const ours = (): Promise<number> => rate([first, second], calls, drives);
      const figures = await inTurn(runs, { ours, peer: () => rate([first], calls, drives) });
      const work = `control calls: ${calls.work}, two nodes`;
      rows.push({ work, unit: '/s', peerName: 'one node', better: 'higher', target: null, ...figures });
    }
    return rows;
  },
};

/** Requests a second, each node with its share of them and of the connections. */
async function rate(
  servers: readonly DrivebayServer[],
  { requests, status, request }: Calls,
  drives: readonly string[],
): Promise<number> {
  const share = requests / servers.length;
  const seconds = await Promise.all(
    servers.map(({ port, auth }) =>
      runHttpLoad({
        port,
        connections: CONNECTIONS / servers.length,
        requests: share,
        status,
        head(index) {
          const [line, body = ''] = request(drives[index % drives.length] ?? '');
          const length = line.startsWith('POST') ? `Content-Length: ${body.length}\r\n` : '';
          return `${line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${basic(auth)}\r\n${length}\r\n${body}`;
        },
      }),
    ),
  );
  return requests / Math.max(...seconds);
}
