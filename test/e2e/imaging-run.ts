import { setTimeout as sleep } from 'node:timers/promises';
import type { DriveClient, Info } from '../helpers/drive-client.ts';

const TIMEOUT_MS = 60_000;

/** Starts an imaging, waits for its end and gives the info of the target after it. */
export async function runImaging(
  client: DriveClient,
  { source, target, conversion = '' }: { source: string; target: string; conversion?: string },
): Promise<Info> {
  const answer = await client.post(`/drives/${target}/image/${source}${conversion && `/${conversion}`}`);
  if (answer.status !== 204) throw new Error(`${answer.status} ${answer.text}`);
  return imagingEnd(client, target);
}

export async function imagingEnd(client: DriveClient, drive: string): Promise<Info> {
  const deadlineMs = performance.now() + TIMEOUT_MS;
  while (performance.now() < deadlineMs) {
    const info = await client.info(drive);
    if (info['imaging'] === undefined) return info;
    await sleep(20);
  }
  throw new Error(`The imaging of ${drive} does not end.`);
}
