import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { runHttpLoad } from './http-load.ts';
import { basic } from './drivebay-server.ts';
import type { DrivebayServer } from './drivebay-server.ts';

export const MIB = 1024 * 1024;
export const PIECE_BYTES = 4 * MIB;

/**
 * Requests after which Node has compiled what they take. Those before cost twice the processor time, which a server that
 * runs for longer than some seconds does not notice.
 */
export const WARM_REQUESTS = 1024;

/** Creates a drive and returns its UUID. */
export async function createDrive(
  server: DrivebayServer,
  drive: { sizeBytes: number; cipher: 'none' | 'aes-xts-plain'; name?: string; tier?: 'disk' | 'ssd' },
): Promise<string> {
  const info = (await server.call('POST', '/drives/create', {
    name: drive.name ?? 'bench',
    size: drive.sizeBytes,
    'encryption:cipher': drive.cipher,
    ...(drive.tier === undefined ? {} : { tier: drive.tier }),
  })) as { drive: string };
  return info.drive;
}

/** Reads a drive in 4 MiB pieces and returns MiB/s. */
export async function readDrive(
  server: DrivebayServer,
  driveId: string,
  load: { sizeBytes: number; requests: number; connections: number },
): Promise<number> {
  const pieces = load.sizeBytes / PIECE_BYTES;
  const seconds = await runHttpLoad({
    ...load,
    port: server.port,
    status: 200,
    head: (index) =>
      `GET /drives/${driveId}/read/${(index % pieces) * PIECE_BYTES}/${PIECE_BYTES} HTTP/1.1\r\n` +
      `Host: localhost\r\nAuthorization: ${basic(server.auth)}\r\n\r\n`,
  });
  return (load.requests * 4) / seconds;
}

/** Writes a drive in 4 MiB pieces of random bytes, once, or over and over for so many requests, and returns MiB/s. */
export async function writeDrive(
  server: DrivebayServer,
  driveId: string,
  load: { sizeBytes: number; connections: number; requests?: number },
): Promise<number> {
  const body = randomBytes(PIECE_BYTES);
  const pieces = load.sizeBytes / PIECE_BYTES;
  const { requests = pieces } = load;
  const seconds = await runHttpLoad({
    connections: load.connections,
    requests,
    port: server.port,
    status: 204,
    body,
    head: (index) =>
      `POST /drives/${driveId}/write/${(index % pieces) * PIECE_BYTES} HTTP/1.1\r\nHost: localhost\r\n` +
      `Authorization: ${basic(server.auth)}\r\nContent-Type: application/octet-stream\r\n` +
      `Content-Length: ${PIECE_BYTES}\r\n\r\n`,
  });
  return (requests * 4) / seconds;
}

/** Images a drive onto another and waits until it is done; returns seconds. */
export async function imageDrive(
  server: DrivebayServer,
  { source, target, suffix = '' }: { source: string; target: string; suffix?: string },
): Promise<number> {
  const startedAtMs = performance.now();
  await server.call('POST', `/drives/${target}/image/${source}${suffix}`);
  for (;;) {
    const info = (await server.call('GET', `/drives/${target}/info`)) as Record<string, string>;
    if (info['imaging:error'] !== undefined) throw new Error(info['imaging:error']);
    if (info['imaging'] === undefined) return (performance.now() - startedAtMs) / 1000;
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

const SERVER = '11111111-1111-4111-8111-111111111111';

/** Claims a drive; gives the URI to connect to over the Unix socket. */
export async function attach(server: DrivebayServer, drive: string): Promise<string> {
  const claim = await server.call('POST', `/drives/${drive}/claim`, { server: SERVER });
  return (claim as Record<string, string>)['attach:unix'] ?? '';
}

/** Writes the passphrase that opens an encrypted drive into a file. */
export async function exportPassphrase(server: DrivebayServer, drive: string, path: string): Promise<void> {
  const key = await server.call('POST', `/admin/drives/${drive}/key/export`, { fill: 'false' });
  writeFileSync(path, (key as Record<string, string>)['passphrase'] ?? '', { mode: 0o600 });
}
