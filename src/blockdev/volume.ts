import type { ByteDevice } from './layers/byte-access.ts';
import type { LuksDevice } from './layers/luks.ts';

/** A drive's bytes, exactly of the drive's size, whether it is encrypted or not. */
export interface Volume extends ByteDevice {
  /** The decrypted sectors below; null for a drive that is not encrypted. */
  readonly encrypted: LuksDevice | null;
}
