import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { databaseUrl, startScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import type {
  ScratchPostgres,
  ScratchPostgresOptions,
} from '../../src/metadata/postgres/scratch-postgres.ts';
import type { DriveClient } from '../helpers/drive-client.ts';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { createRbdPlace } from './scratch-rbd.ts';

/** Where a node runs when that is not here. */
export interface NodePlace {
  /** What is put before its command. */
  readonly enter?: readonly string[];
  /** Where it reaches PostgreSQL. */
  readonly databaseHost?: string;
  readonly args?: readonly string[];
  /** A pool of its own besides: a directory of this name, for drives of tier `ssd`. */
  readonly ownPool?: string;
}

/** Nodes of one installation over one PostgreSQL, with one pool in Ceph, or two. */
export interface CephNodes extends AsyncDisposable {
  readonly postgres: ScratchPostgres;
  readonly scratch: string;
  /** Starts a node, or starts it anew. It is killed with the others. */
  start(name: string, place?: NodePlace): Promise<ServerProcess>;
}

/** @param secondPool the name in Ceph of a second pool that all nodes have, `second` */
export async function startCephNodes(
  cephPool: string,
  { secondPool, ...options }: ScratchPostgresOptions & { readonly secondPool?: string } = {},
): Promise<CephNodes> {
  const scratch = await scratchDirectory();
  const postgres = await startScratchPostgres(options);
  const database = await postgres.createDatabase();
  const shared = [await sharedPool('ceph', cephPool)];
  if (secondPool !== undefined) shared.push(await sharedPool('second', secondPool));
  const masterKey = randomBytes(32).toString('hex');
  const started = new Set<ServerProcess>();
  return {
    postgres,
    scratch,
    async start(name, { enter = [], databaseHost = database.host, args = [], ownPool } = {}) {
      const own = ownPool === undefined ? [] : [await makePool(join(scratch, ownPool))];
      const pools = [...shared, ...own];
      const server = await startServer({
        dataDirectory: join(scratch, name),
        config: JSON.stringify({ pools }),
        args: ['--nbd-listen', '127.0.0.1:0', '--imaging-threads', '1', ...args],
        env: {
          DRIVEBAY_METADATA: `${databaseUrl({ ...database, host: databaseHost })}?sslmode=disable`,
          DRIVEBAY_MASTER_KEY: masterKey,
        },
        enter,
      });
      started.add(server);
      return server;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...started].map((server) => server.stop('SIGKILL')));
      await postgres[Symbol.asyncDispose]();
      await rm(scratch, { recursive: true });
    },
  };
}

async function sharedPool(name: string, cephPool: string): Promise<object> {
  const { user, keyring, confFile } = await createRbdPlace(cephPool);
  return { name, rbd: { pool: cephPool, user, keyring, conf: confFile } };
}

async function makePool(directory: string): Promise<object> {
  await mkdir(directory, { recursive: true });
  return { name: basename(directory), tier: 'ssd', directory };
}

/** Claims a drive through a node for a new server; answers the URI by TCP. */
export async function claimDrive(node: DriveClient, drive: string, pairs = ''): Promise<string> {
  const answer = await node.json(`/drives/${drive}/claim`, `server ${randomUUID()}\n${pairs}`);
  return String((answer as Record<string, string>)['attach:tcp']);
}

/** Takes a drive over, as often as it takes: a node that was lost may have left a transaction that is in everybody's way. */
export async function takeOverDrive(node: DriveClient, drive: string): Promise<string> {
  const claim = () => claimDrive(node, drive, 'takeover true').catch((error: unknown) => String(error));
  let uri = await claim();
  while (/: 503 /.test(uri)) uri = await claim();
  return uri;
}

/** Where a node listens for servers. */
export function nbdPort(node: ServerProcess): number {
  return Number(/"port":(\d+),[^\n]*"msg":"NBD listens on TCP"/.exec(node.output())?.[1]);
}

/** The same claim through another node. */
export function throughNode(node: ServerProcess, uri: string): string {
  const url = new URL(uri);
  url.port = String(nbdPort(node));
  return url.href;
}
