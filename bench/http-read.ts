import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startDrivebay } from './lib/drivebay-server.ts';
import { createDrive, MIB, PIECE_BYTES, readDrive, writeDrive } from './lib/drives.ts';
import { runHttpLoad } from './lib/http-load.ts';
import { inTurn } from './lib/measure.ts';
import type { Benchmark } from './lib/measure.ts';
import { startNginx } from './lib/nginx.ts';

const SIZE_BYTES = 512 * MIB;
const CONNECTIONS = 4;
const REQUESTS = 768;

/** Reading 4 MiB pieces over HTTP, from the page cache, against nginx serving byte ranges. */
export const httpRead: Benchmark = {
  name: 'http-read',
  async run(context) {
    writeFileSync(join(context.diskDirectory, 'file'), randomBytes(SIZE_BYTES));
    await using nginx = await startNginx(join(context.diskDirectory, 'nginx'), context.diskDirectory);
    await using server = await startDrivebay(join(context.diskDirectory, 'data'));
    const plain = await createDrive(server, { sizeBytes: SIZE_BYTES, cipher: 'none' });
    const encrypted = await createDrive(server, { sizeBytes: SIZE_BYTES, cipher: 'aes-xts-plain' });
    for (const drive of [plain, encrypted]) {
      await writeDrive(server, drive, { sizeBytes: SIZE_BYTES, connections: CONNECTIONS });
    }
    const load = { sizeBytes: SIZE_BYTES, requests: REQUESTS, connections: CONNECTIONS };
    const readPlain = (): Promise<number> => readDrive(server, plain, load);
    const readEncrypted = (): Promise<number> => readDrive(server, encrypted, load);
    const ranges = await inTurn(context.runs, { ours: readPlain, peer: () => readRanges(nginx.port) });
    const ciphers = await inTurn(context.runs, { ours: readEncrypted, peer: readPlain });
    const common = { unit: 'MiB/s', better: 'higher' } as const;
    return [
      { ...common, work: 'HTTP read, unencrypted', peerName: 'nginx ranges', target: 1, ...ranges },
      { ...common, work: 'HTTP read, encrypted', peerName: 'our unencrypted', target: 0.7, ...ciphers },
    ];
  },
};

async function readRanges(port: number): Promise<number> {
  const pieces = SIZE_BYTES / PIECE_BYTES;
  const seconds = await runHttpLoad({
    port,
    connections: CONNECTIONS,
    requests: REQUESTS,
    status: 206,
    head: (index) => {
      const offset = (index % pieces) * PIECE_BYTES;
      return `GET /file HTTP/1.1\r\nHost: localhost\r\nRange: bytes=${offset}-${offset + PIECE_BYTES - 1}\r\n\r\n`;
    },
  });
  return (REQUESTS * 4) / seconds;
}
