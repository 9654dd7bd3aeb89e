import { workerData } from 'node:worker_threads';
import { createFilePool } from '../file/file-pool.ts';
import { openVolume } from '../luks-volume.ts';
import type { VolumeOpening } from '../luks-volume.ts';
import { scratchEngine } from '../scratch-devices.ts';

// A thread of drive-lock.test.ts: writes short stretches of a few sectors that other threads write the rest of.

const { directory, spec, writer, writers, rounds } = workerData as {
  directory: string;
  spec: VolumeOpening;
  writer: number;
  writers: number;
  rounds: number;
};
const STRETCH_BYTES = 64;

const volume = await openVolume(createFilePool({ directory }), spec, {
  engine: scratchEngine(),
  access: 'read-write',
});
for (let round = 1; round <= rounds; round += 1) {
  const bytes = new Uint8Array(STRETCH_BYTES).fill(round % 256);
  for (let at = writer * STRETCH_BYTES; at < spec.sizeBytes; at += writers * STRETCH_BYTES) {
    await volume.write(at, bytes);
  }
}
await volume.close();
