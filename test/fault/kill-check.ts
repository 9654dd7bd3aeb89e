import { setTimeout as sleep } from 'node:timers/promises';
import type { DriveClient } from '../helpers/drive-client.ts';
import { readBack } from './kill-load.ts';
import { isImaged, settleList, Violation } from './kill-model.ts';
import type { Info, Model, ModelDrive } from './kill-model.ts';
import type { SeededRandom } from './seeded-random.ts';

const IMAGING_TIMEOUT_MS = 60_000;

/** The drives are those of the model, and so are the bytes of those that were in doubt and of one more. */
export async function checkAfterKill(client: DriveClient, model: Model, random: SeededRandom): Promise<void> {
  settleList(model, (await client.json('/drives/info')) as readonly Info[]);
  const drives = [...model.drives.values()];
  for (const drive of drives) {
    if (drive.otherwise !== null) await readBack(client, drive);
  }
  const still = drives.filter((drive) => drive.version.job === null);
  if (still.length > 0) await readBack(client, random.pick(still));
}

/** All drives are those of the model, with their bytes, once all imagings are done. */
export async function checkEverything(client: DriveClient, model: Model): Promise<void> {
  for (const drive of model.drives.values()) {
    await untilImaged(client, drive);
    await readBack(client, drive);
  }
  const listed = (await client.get('/drives/list')).text.trim().split('\n').toSorted();
  const expected = [...model.drives.keys()].toSorted();
  if (listed.join() !== expected.join())
    throw new Violation(`${listed.join()} instead of ${expected.join()}`);
}

async function untilImaged(client: DriveClient, drive: ModelDrive): Promise<void> {
  const deadlineMs = performance.now() + IMAGING_TIMEOUT_MS;
  while (!isImaged(drive, await client.info(drive.id))) {
    if (performance.now() > deadlineMs) throw new Error(`${drive.id} is imaging without end`);
    await sleep(20);
  }
}
