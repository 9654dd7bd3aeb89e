import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createSecureContext } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { FIRST_PAIR } from '../../test/helpers/tls-pairs.ts';
import { formatNbdUri, type NbdEndpoint } from './nbd-uri.ts';
import { EXPORT_NAME, OFFER } from './scratch-client.ts';
import { scratchServer } from './scratch-server.ts';
import { transmitZeros } from './scratch-transmission.ts';

// The handshake as nbdinfo (libnbd) and qemu-img judge it.

const run = promisify(execFile);
const TIMEOUT_MS = 25_000;

async function output(command: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(command, args, { timeout: TIMEOUT_MS });
  return stdout;
}

function uriOf(endpoint: NbdEndpoint, exportName = EXPORT_NAME): string {
  return formatNbdUri({ endpoint, exportName });
}

interface NbdInfo {
  readonly protocol: string;
  readonly TLS: boolean;
  readonly structured: boolean;
  readonly exports: readonly Readonly<Record<string, unknown>>[];
}

async function nbdinfo(...args: readonly string[]): Promise<NbdInfo> {
  return JSON.parse(await output('nbdinfo', '--json', ...args)) as NbdInfo;
}

describe('nbdinfo', () => {
  test.each(['tcp', 'unix'] as const)('sees the export as it was offered (%s)', async (kind) => {
    await using server = await scratchServer({ transmit: transmitZeros });
    const { protocol, structured, exports } = await nbdinfo(uriOf(server[kind]));
    expect([protocol, structured]).toEqual(['newstyle-fixed', true]);
    expect(exports).toHaveLength(1);
    expect(exports[0]).toMatchObject({
      'export-name': EXPORT_NAME,
      description: OFFER.description,
      'export-size': OFFER.sizeBytes,
      contexts: ['base:allocation'],
      is_read_only: false,
      can_cache: true,
      can_df: true,
      can_fast_zero: true,
      can_flush: true,
      can_fua: true,
      can_multi_conn: true,
      can_trim: true,
      can_zero: true,
      block_size_minimum: OFFER.minimumBlockBytes,
      block_size_preferred: OFFER.preferredBlockBytes,
      block_size_maximum: OFFER.maximumBlockBytes,
    });
  });

  test('sees that an export is read-only', async () => {
    const resolve = async (): Promise<typeof OFFER> => await Promise.resolve({ ...OFFER, isReadOnly: true });
    await using server = await scratchServer({ transmit: transmitZeros, resolve });
    const { exports } = await nbdinfo(uriOf(server.tcp));
    expect(exports[0]).toMatchObject({ is_read_only: true });
  });

  test('maps the export by the metadata context', async () => {
    await using server = await scratchServer({ transmit: transmitZeros });
    const map = JSON.parse(
      await output('nbdinfo', '--json', '--map', '--totals', uriOf(server.unix)),
    ) as unknown;
    expect(map).toMatchObject([{ size: OFFER.sizeBytes, type: 3, description: 'hole,zero' }]);
  });

  test.each(['a/b c', 'ü+%41&?#', ' '])('finds an export named %j by its URI', async (exportName) => {
    const asked: string[] = [];
    const resolve = async (name: string): Promise<typeof OFFER> => {
      asked.push(name);
      return await Promise.resolve(OFFER);
    };
    await using server = await scratchServer({ transmit: transmitZeros, resolve });
    expect(await output('nbdinfo', '--size', uriOf(server.unix, exportName))).toBe(`${OFFER.sizeBytes}\n`);
    expect(new Set(asked)).toEqual(new Set([exportName]));
  });

  test('lists no exports', async () => {
    await using server = await scratchServer({ transmit: transmitZeros });
    expect((await nbdinfo('--list', uriOf(server.tcp, ''))).exports).toEqual([]);
  });

  test('is told that there is no such export, and leaves in good order', async () => {
    await using server = await scratchServer();
    const wrong = nbdinfo(uriOf(server.unix, 'other'));
    await expect(wrong).rejects.toMatchObject({ stderr: expect.stringMatching(/No such file or directory/) });
    expect(await server.results[0]).toEqual({ negotiated: null, reason: 'aborted' });
  });
});

describe('TLS', () => {
  async function withAuthority(work: (directory: string) => Promise<void>): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), 'drivebay-nbd-ca-'));
    await writeFile(join(directory, 'ca-cert.pem'), FIRST_PAIR.cert);
    await work(directory).finally(() => rm(directory, { recursive: true }));
  }

  test.each(['offered', 'required'] as const)('%s is taken up by nbdinfo', async (mode) => {
    const tls = { mode, secureContext: () => createSecureContext(FIRST_PAIR) };
    await using server = await scratchServer({ tls, transmit: transmitZeros });
    await withAuthority(async (directory) => {
      const info = await nbdinfo(`${uriOf(server.tcp)}?tls-certificates=${directory}`);
      expect(info.TLS).toBe(true);
      expect(info.structured).toBe(true);
      expect(info.exports[0]).toMatchObject({
        'export-size': OFFER.sizeBytes,
        contexts: ['base:allocation'],
      });
    });
  });

  test('offered may be done without, required may not', async () => {
    const secureContext = () => createSecureContext(FIRST_PAIR);
    await using offered = await scratchServer({
      tls: { mode: 'offered', secureContext },
      transmit: transmitZeros,
    });
    expect((await nbdinfo(uriOf({ ...offered.tcp, isTls: false }))).TLS).toBe(false);
    await using required = await scratchServer({ tls: { mode: 'required', secureContext } });
    const plain = output('qemu-img', 'info', uriOf({ ...required.tcp, isTls: false }));
    await expect(plain).rejects.toMatchObject({ stderr: expect.stringMatching(/This server requires TLS/) });
  });
});

test('qemu-img shows people why it was refused', async () => {
  await using server = await scratchServer();
  const wrong = output('qemu-img', 'info', uriOf(server.tcp, 'other'));
  await expect(wrong).rejects.toMatchObject({ stderr: expect.stringMatching(/There is no such export/) });
});

test('qemu-img sees size and holes of the export', async () => {
  await using server = await scratchServer({ transmit: transmitZeros });
  const info: unknown = JSON.parse(await output('qemu-img', 'info', '--output=json', uriOf(server.tcp)));
  expect(info).toMatchObject({ 'virtual-size': OFFER.sizeBytes, format: 'raw' });
  const map: unknown = JSON.parse(await output('qemu-img', 'map', '--output=json', uriOf(server.unix)));
  expect(map).toMatchObject([{ start: 0, length: OFFER.sizeBytes, zero: true, data: false }]);
});
