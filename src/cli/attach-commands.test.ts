import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runCli } from '../../test/helpers/cli-run.ts';
import { FakeDriveServer } from '../../test/helpers/fake-drive-server.ts';

const DRIVE = 'aaaa1111-0000-4000-8000-000000000001';
const SERVER = '7c0a4be5-8f0e-4c83-9c55-0a4d1f0c8d11';
const UUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/;
const TCP = 'nbd://127.0.0.1:10809/5ec7e7';
const UNIX = 'nbd+unix:///5ec7e7?socket=/run/nbd.sock';

let server: FakeDriveServer;

beforeEach(async () => {
  server = await new FakeDriveServer().listen();
  server.addDrive(Buffer.alloc(0), { drive: DRIVE, name: 'web' });
  server.attachUris = { 'attach:tcp': TCP, 'attach:unix': UNIX };
});

afterEach(() => server[Symbol.asyncDispose]());

/** What the server was sent by this command. */
async function bodiesOf(...args: string[]): Promise<unknown[]> {
  await runCli(server, args);
  return server.bodies.splice(0).map((body) => JSON.parse(body) as unknown);
}

describe('attach', () => {
  test('claims for a new server unless one is named, and says how to end that', async () => {
    const { stderr } = await runCli(server, ['attach', 'web']);
    const { server: made, ...claim } = JSON.parse(server.bodies[0] ?? '') as Record<string, string>;
    expect([made, claim]).toEqual([expect.stringMatching(UUID), { access: 'rw' }]);
    expect(stderr).toBe(`to end it: drivebay detach ${DRIVE} --server ${made}\n`);
    expect((await runCli(server, ['attach', 'web', '--server', SERVER])).stderr).toBe('');
  });

  test('passes on server, access, lease and takeover', async () => {
    const given = ['--server', SERVER.toUpperCase(), '--read-only', '--lease', '60', '--takeover'];
    expect(await bodiesOf('attach', 'web', ...given)).toEqual([
      { server: SERVER, access: 'ro', lease: '60', takeover: 'true' },
    ]);
  });

  test('prints the claim, arguments for QEMU and an element for libvirt', async () => {
    const { text, exitCode } = await runCli(server, ['attach', 'web']);
    expect(exitCode).toBe(0);
    expect(text).toMatch(/^epoch +3$/m);
    expect(text).toMatch(new RegExp(`^uri +${TCP}$`, 'm'));
    expect(text).toContain(`\nQEMU:\n\n-blockdev '{"driver":"nbd"`);
    expect(text).toContain(`\nlibvirt:\n\n<disk type='network'`);
    expect(text).not.toContain('attach:');
  });

  test('prints only what is asked for', async () => {
    const only = async (...flags: string[]) => (await runCli(server, ['attach', 'web', ...flags])).text;
    expect(await only('--uri')).toBe(`${TCP}\n`);
    expect(await only('--uri', '--via', 'unix')).toBe(`${UNIX}\n`);
    expect(await only('--qemu')).toMatch(/^-blockdev '.*' \\\n-device virtio-blk-pci,.*\n$/);
    expect(await only('--libvirt')).toMatch(/^<disk [^]*<\/disk>\n$/);
    expect((await runCli(server, ['attach', 'web', '--uri', '--qemu'])).exitCode).toBe(2);
  });

  test('gives all of it in JSON', async () => {
    const result = await runCli(server, ['attach', 'web', '--server', SERVER, '--json']);
    expect(result.json()).toEqual({
      drive: DRIVE,
      server: SERVER,
      access: 'rw',
      epoch: '3',
      uri: TCP,
      qemu: {
        blockdev: expect.objectContaining({ driver: 'nbd', export: '5ec7e7' }),
        device: expect.stringContaining('virtio-blk-pci'),
      },
      libvirt: expect.stringContaining('<disk'),
    });
    expect(result.stderr).toBe('');
  });

  test.each([
    [[], {}, 'nbd_listen (HOST:PORT) or nbd_socket (PATH)'],
    [['--via', 'tcp'], { 'attach:unix': UNIX }, 'of the kind tcp: its setting nbd_listen'],
    [['--via', 'unix'], { 'attach:tcp': TCP }, 'of the kind unix: its setting nbd_socket'],
  ])('%j without such a listener names the setting and leaves no claim', async (flags, uris, words) => {
    server.attachUris = uris;
    const result = await runCli(server, ['attach', 'web', '--server', SERVER, ...flags]);
    expect([result.exitCode, result.text]).toEqual([1, '']);
    expect(result.stderr).toContain(words);
    expect(server.count(new RegExp(`^POST /drives/${DRIVE}/release$`))).toBe(1);
  });

  test('uses the one listener that there is', async () => {
    server.attachUris = { 'attach:unix': UNIX };
    expect((await runCli(server, ['attach', 'web', '--uri'])).text).toBe(`${UNIX}\n`);
  });

  test('passes a refusal on', async () => {
    const message = 'Drive 7 is held by server 8 (no lease: it must be released): no.';
    const busy = { status: 409, headers: { 'x-elastic-error': 'busy' }, body: JSON.stringify({ message }) };
    server.intervene = ({ path }) => (path.endsWith('/claim') ? busy : undefined);
    const result = await runCli(server, ['attach', 'web']);
    expect([result.exitCode, result.stderr]).toEqual([1, `drivebay: ${message.slice(0, -1)}\n`]);
  });

  test.each([
    ['--server', 'web-1'],
    ['--lease', '0'],
    ['--lease', '86401'],
    ['--via', 'pigeon'],
  ])('%s %s is a usage error', async (flag, value) => {
    expect((await runCli(server, ['attach', 'web', flag, value])).exitCode).toBe(2);
    expect(server.count(/claim/)).toBe(0);
  });
});

describe('attach --rbd', () => {
  const PLACE = { 'rbd:pool': 'drives', 'rbd:image': 'image-3' };
  let directory: string;
  let key: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'drivebay-attach-'));
    key = join(directory, 'key');
    server.attachUris = PLACE;
  });

  afterEach(() => rm(directory, { recursive: true }));

  function addEncrypted(info: Record<string, string> = {}): void {
    const encrypted = { drive: DRIVE, name: 'web', 'encryption:cipher': 'aes-xts-plain' };
    server.addDrive(Buffer.alloc(0), { ...encrypted, ...info });
  }

  test('claims by rbd, and prints where the image is as each program takes it', async () => {
    const only = async (...flags: string[]) =>
      (await runCli(server, ['attach', 'web', '--rbd', ...flags])).text;
    expect(await only('--uri')).toBe('rbd:drives/image-3:id=libvirt\n');
    expect(JSON.parse(server.bodies[0] ?? '')).toMatchObject({ protocol: 'rbd', access: 'rw' });
    expect(await only('--qemu', '--ceph-user', 'vms')).toContain(
      '"driver":"rbd","pool":"drives","image":"image-3","user":"vms"',
    );
    expect(await only('--libvirt')).toContain(`<source protocol='rbd' name='drives/image-3'>`);
    expect((await runCli(server, ['attach', 'web', '--rbd', '--via', 'tcp'])).exitCode).toBe(2);
  });

  test('of an encrypted drive holds it, fills it, and leaves the passphrase in a file for its user alone', async () => {
    addEncrypted();
    await writeFile(key, 'old', { mode: 0o644 });
    const result = await runCli(server, [
      'attach',
      'web',
      '--rbd',
      '--takeover',
      '--secret-file',
      key,
      '--qemu',
    ]);
    expect(result.text).toContain(`file=${key}`);
    expect([await readFile(key, 'utf8'), (await stat(key)).mode & 0o777]).toEqual(['open sesame', 0o600]);
    const bodies = server.bodies.map((body) => JSON.parse(body) as Record<string, string>);
    expect(bodies).toMatchObject([{ takeover: 'true' }, { fill: 'true' }, { protocol: 'rbd' }]);
    expect([bodies[0]?.['protocol'], bodies[2]?.['takeover']]).toEqual([undefined, undefined]);
    expect(await readdir(directory)).toEqual(['key']);
  });

  test('of an encrypted drive needs a file, and an administrator, and leaves no claim without', async () => {
    addEncrypted();
    const without = await runCli(server, ['attach', 'web', '--rbd']);
    expect([without.exitCode, without.stderr]).toEqual([2, expect.stringContaining('--secret-file')]);
    expect(server.count(/claim/)).toBe(0);
    const missing = { status: 404, headers: { 'x-elastic-error': 'missing' }, body: '{"message":"None."}' };
    server.intervene = ({ path }) => (path.includes('/key/export') ? missing : undefined);
    const refused = await runCli(server, ['attach', 'web', '--rbd', '--secret-file', key]);
    expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining('only administrators')]);
    expect(server.count(/release$/)).toBe(1);
    expect(await readdir(directory)).toEqual([]);
  });

  test('of an encrypted drive leaves no claim and no passphrase when the one by rbd is refused', async () => {
    addEncrypted();
    const elsewhere = {
      status: 400,
      headers: { 'x-elastic-error': 'usage' },
      body: '{"message":"In no Ceph."}',
    };
    let claims = 0;
    server.intervene = ({ path }) => {
      if (path.endsWith('/claim')) claims += 1;
      return path.endsWith('/claim') && claims === 2 ? elsewhere : undefined;
    };
    const refused = await runCli(server, ['attach', 'web', '--rbd', '--secret-file', key]);
    expect(refused.stderr).toContain('In no Ceph');
    expect([claims, server.count(/release$/)]).toEqual([2, 1]);
    expect(await readdir(directory)).toEqual([]);
  });

  test('of an encrypted drive outside Ceph, or a shared one, is refused before anything is filled', async () => {
    addEncrypted({ pool: 'default' });
    const pools = { status: 200, body: '[{"pool": "default", "kind": "file"}]' };
    server.intervene = ({ path }) => (path === '/admin/pools/info' ? pools : undefined);
    const args = ['attach', 'web', '--rbd', '--secret-file', key];
    const outside = await runCli(server, args);
    expect([outside.exitCode, outside.stderr]).toEqual([2, expect.stringContaining('in no pool in Ceph')]);
    server.intervene = () => undefined;
    addEncrypted({ 'claim:type': 'shared' });
    const shared = await runCli(server, args);
    expect([shared.exitCode, shared.stderr]).toEqual([2, expect.stringContaining('is shared')]);
    expect(server.count(/claim|export/)).toBe(0);
  });

  test('says so when the server knows nothing of it', async () => {
    server.attachUris = {};
    const result = await runCli(server, ['attach', 'web', '--rbd']);
    expect([result.exitCode, result.stderr]).toEqual([1, expect.stringContaining('no claims by rbd')]);
    expect(server.count(/release$/)).toBe(1);
  });
});

describe('detach', () => {
  test('releases the drive from the server that is named', async () => {
    expect(await bodiesOf('detach', 'web', '--server', SERVER)).toEqual([{ server: SERVER }]);
    const result = await runCli(server, ['detach', 'web', '--server', SERVER, '--json']);
    expect(result.json()).toEqual({ drive: DRIVE, released: SERVER });
  });

  test('needs a server', async () => {
    const result = await runCli(server, ['detach', 'web']);
    expect([result.exitCode, result.stderr]).toEqual([2, expect.stringContaining('--server')]);
  });
});

test('claims are a table, and JSON as the server gives it', async () => {
  server.claims.push({
    drive: DRIVE,
    server: SERVER,
    access: 'rw',
    epoch: '12',
    since: '2026-01-01T00:00:00.000Z',
    connections: '4',
  });
  server.claims.push({ ...server.claims[0], server: DRIVE, protocol: 'rbd', connections: '0' });
  const { text } = await runCli(server, ['claims', 'web']);
  expect(text.split('\n').slice(0, 3)).toEqual([
    'SERVER                                ACCESS  EPOCH  CONNECTIONS  SINCE                     EXPIRES',
    `${SERVER}  rw         12            4  2026-01-01T00:00:00.000Z  -`,
    `${DRIVE}  rw         12          rbd  2026-01-01T00:00:00.000Z  -`,
  ]);
  expect((await runCli(server, ['claims', 'web', '--json'])).json()).toEqual(server.claims);
});
