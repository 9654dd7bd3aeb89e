import { randomBytes } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { MIB } from './drives.ts';

/** An image that packs about as a root file system does: half noise, half text. */
export function writeMixedImage(file: string, sizeBytes: number): void {
  const descriptor = openSync(file, 'w');
  for (let offset = 0; offset < sizeBytes; offset += MIB) {
    const noise = randomBytes(MIB / 2);
    const text = Buffer.from(
      randomBytes(MIB / 8)
        .toString('hex')
        .repeat(2),
    ).subarray(0, MIB / 2);
    writeSync(descriptor, Buffer.concat([noise, text]));
  }
  closeSync(descriptor);
}

/** An image every other 32 MiB of which is a hole. */
export function writeHalfEmptyImage(file: string, sizeBytes: number): void {
  const descriptor = openSync(file, 'w');
  ftruncateSync(descriptor, sizeBytes);
  for (let offset = 0; offset < sizeBytes; offset += 64 * MIB) {
    for (let part = 0; part < 32; part += 1) {
      writeSync(descriptor, randomBytes(MIB), 0, MIB, offset + part * MIB);
    }
  }
  closeSync(descriptor);
}
