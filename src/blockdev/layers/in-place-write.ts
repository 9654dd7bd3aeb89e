import { SECTOR_BYTES } from '../../core/sizes.ts';
import type { Maybe, Range } from '../block-device.ts';
import { chain } from '../maybe.ts';
import type { Volume } from '../volume.ts';

// Data that nobody needs afterwards is encrypted where it is: into other memory it takes half as long again, because both have
// to come into the core's cache.

/** Whether the range is one of whole sectors, so that it can be encrypted before anything else is known. */
export function isSectorRange({ offsetBytes, lengthBytes }: Range): boolean {
  return offsetBytes % SECTOR_BYTES === 0 && lengthBytes % SECTOR_BYTES === 0;
}

/**
 * Encrypts what is going to be written to the drive by `writeInPlace`, where it is.
 *
 * @throws a TypeError for a drive that is not encrypted
 */
export function encryptAhead({ encrypted }: Volume, offsetBytes: number, data: Uint8Array): void {
  if (encrypted === null) throw new TypeError('Nothing is encrypted for a drive that is not.');
  encrypted.encryptInPlace(offsetBytes, data);
}

/**
 * Writes data that is the caller's no longer: what is there afterwards is of no use. Its first `encryptedBytes` have been
 * encrypted by `encryptAhead` for the same place.
 */
export function writeInPlace(
  volume: Volume,
  offsetBytes: number,
  { data, encryptedBytes }: { data: Uint8Array; encryptedBytes: number },
): Maybe<void> {
  const { encrypted } = volume;
  if (encrypted === null || !isSectorRange({ offsetBytes, lengthBytes: data.byteLength })) {
    if (encryptedBytes > 0) throw new TypeError('What is encrypted already cannot be written here.');
    return volume.write(offsetBytes, data);
  }
  if (encryptedBytes < data.byteLength) {
    encrypted.encryptInPlace(offsetBytes + encryptedBytes, data.subarray(encryptedBytes));
  }
  return volume.together(() => chain(encrypted.writeEncrypted(offsetBytes, data), () => undefined));
}
