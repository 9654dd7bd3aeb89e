import { run } from './command.ts';
import { MAIN } from './drivebay-server.ts';
import type { DrivebayServer } from './drivebay-server.ts';

function environment(server: DrivebayServer): Record<string, string> {
  return { DRIVEBAY_URL: `http://127.0.0.1:${server.port}`, DRIVEBAY_AUTH: server.auth };
}

/** Uploads a file with the command-line client. */
export async function uploadFile(server: DrivebayServer, file: string, drive: string): Promise<void> {
  await run(process.execPath, [MAIN, 'upload', '--raw', file, drive], { env: environment(server) });
}

/** Downloads a drive with the command-line client. */
export async function downloadFile(server: DrivebayServer, drive: string, file: string): Promise<void> {
  await run(process.execPath, [MAIN, 'download', drive, file], { env: environment(server) });
}
