import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { expect, test } from 'vitest';
import { listeningHarness } from '../../test/helpers/http-harness.ts';
import { FIRST_PAIR, SECOND_PAIR } from '../../test/helpers/tls-pairs.ts';
import type { HttpAddress } from './http-server.ts';
import type { TlsFiles } from '../runtime/tls-files.ts';

/** The common name of the certificate that the server shows to a new connection. */
async function shownName({ host, port }: HttpAddress): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const socket = connect({ host, port, rejectUnauthorized: false }, () => {
    resolve(socket.getPeerCertificate().subject.CN);
    socket.end();
  });
  socket.on('error', reject);
  return await promise;
}

async function withPair(work: (files: TlsFiles) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'drivebay-tls-'));
  const files = { certFile: join(directory, 'cert.pem'), keyFile: join(directory, 'key.pem') };
  await writeFile(files.certFile, FIRST_PAIR.cert);
  await writeFile(files.keyFile, FIRST_PAIR.key);
  await work(files).finally(() => rm(directory, { recursive: true }));
}

const LIMITS = { tlsCheckIntervalMs: 20 };

test('a new certificate and key are taken up without a restart', async () => {
  await withPair(async (tls) => {
    await using harness = await listeningHarness({ tls, limits: LIMITS });
    expect(harness.address.url).toMatch(/^https:/);
    expect(await shownName(harness.address)).toBe(FIRST_PAIR.name);
    await writeFile(tls.certFile, SECOND_PAIR.cert);
    await writeFile(tls.keyFile, SECOND_PAIR.key);
    while ((await shownName(harness.address)) === FIRST_PAIR.name);
    expect(await shownName(harness.address)).toBe(SECOND_PAIR.name);
  });
});

test('a new pair that is no good is logged and the old one goes on', async () => {
  await withPair(async (tls) => {
    await using harness = await listeningHarness({ tls, limits: LIMITS });
    await writeFile(tls.certFile, SECOND_PAIR.cert);
    while (!harness.lines.some((line) => line['level'] === 50)) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await shownName(harness.address)).toBe(FIRST_PAIR.name);
  });
});

test('a pair that does not belong together is refused at start', async () => {
  await withPair(async (tls) => {
    await writeFile(tls.keyFile, SECOND_PAIR.key);
    await expect(listeningHarness({ tls, limits: LIMITS })).rejects.toThrow(/key values mismatch/);
  });
});

test('plain HTTP to the TLS port does not harm the server', async () => {
  await withPair(async (tls) => {
    await using harness = await listeningHarness({ tls, limits: LIMITS });
    const { host, port } = harness.address;
    await expect(fetch(`http://${host}:${port}/healthz`)).rejects.toThrow('fetch failed');
    expect(await shownName(harness.address)).toBe(FIRST_PAIR.name);
  });
});
