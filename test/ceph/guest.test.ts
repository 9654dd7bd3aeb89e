import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { databaseUrl, startScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import type { ScratchPostgres } from '../../src/metadata/postgres/scratch-postgres.ts';
import { bootFromDrive, errorsOn, expectKept } from '../guest/guest-drive.ts';
import { guestProblem, makeGuestFiles } from '../guest/guest-files.ts';
import { scratchDirectory, startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { createRbdPlace } from './scratch-rbd.ts';

const problem = await guestProblem();
if (problem !== null)
  process.stderr.write(`No guest is booted, because it cannot be made here: ${problem}\n`);

let scratch: string;
let postgres: ScratchPostgres;
let nodes: readonly ServerProcess[];
let balancer: Server;

beforeAll(async () => {
  scratch = await scratchDirectory();
  postgres = await startScratchPostgres();
  const { cephPool, user, keyring, confFile } = await createRbdPlace('guest');
  const pools = [{ name: 'ceph', rbd: { pool: cephPool, user, keyring, conf: confFile } }];
  const env = {
    DRIVEBAY_METADATA: databaseUrl(await postgres.createDatabase()),
    DRIVEBAY_MASTER_KEY: randomBytes(32).toString('hex'),
  };
  const start = async (name: string): Promise<ServerProcess> =>
    await startServer({
      dataDirectory: join(scratch, name),
      config: JSON.stringify({ pools }),
      args: ['--nbd-listen', '127.0.0.1:0'],
      env,
    });
  nodes = [await start('a'), await start('b')];
  balancer = createBalancer(nodes.map(nbdPort));
  await once(balancer.listen(0, '127.0.0.1'), 'listening');
});

afterAll(async () => {
  balancer.close();
  for (const node of nodes) await node.stop('SIGKILL');
  await postgres[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true });
});

function nbdPort(server: ServerProcess): number {
  return Number(/"port":(\d+),[^\n]*"msg":"NBD listens on TCP"/.exec(server.output())?.[1]);
}

/** Passes each connection on to the first of these ports that takes it. */
function createBalancer(ports: readonly number[]): Server {
  return createServer((client) => {
    const attempt = ([port, ...others]: readonly number[]): void => {
      if (port === undefined) return void client.destroy();
      let isUp = false;
      const node = connect(port, '127.0.0.1', () => {
        isUp = true;
        client.pipe(node).pipe(client);
      });
      node.on('error', () => (isUp ? client.destroy() : attempt(others)));
      node.on('close', () => isUp && client.destroy());
      client.on('close', () => node.destroy());
    };
    client.on('error', () => client.destroy());
    attempt(ports);
  });
}

test('a guest goes on through another node when its own is killed, without an I/O error', async ({
  skip,
}) => {
  if (problem !== null) skip(`it cannot be made here: ${problem}`);
  const [a, b] = nodes;
  if (a === undefined || b === undefined) throw new Error('No nodes.');
  const port = (balancer.address() as AddressInfo).port;
  const booted = await bootFromDrive(a, await makeGuestFiles(scratch), {
    via: 'tcp',
    change: (words) => words.replaceAll(`"${nbdPort(a)}"`, `"${port}"`),
  });
  await using guest = booted.guest;
  await guest.untilSynced(5);
  await a.stop('SIGKILL');
  await guest.untilSynced(5);
  const claims = (await b.json(`/drives/${booted.drive}/claims`)) as readonly Record<string, string>[];
  expect(claims).toMatchObject([{ epoch: '1', connections: expect.not.stringMatching(/^0$/) }]);
  await guest.kill();
  expect(errorsOn(guest)).toEqual([]);
  await expectKept(b, booted, scratch);
});
