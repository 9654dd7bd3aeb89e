import type { WrappedKeys } from '../metadata/metadata-store.ts';
import type { ServiceContext } from './service-context.ts';

/** What opens a drive, and how the metadata keeps it. */
export interface DriveSecrets {
  /** Opens the LUKS keyslot; letters and digits. */
  readonly passphrase: string;
  readonly wrapped: WrappedKeys;
}

/** Bytes of an AES-256-XTS key: one half for the data, one for the tweaks. */
const VOLUME_KEY_BYTES = 64;
const PASSPHRASE_LENGTH = 43;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Makes a new drive's own volume key and passphrase. */
export function makeDriveSecrets(context: ServiceContext, driveId: string): DriveSecrets {
  const passphrase = randomWord(context.randomBytes, PASSPHRASE_LENGTH);
  const volumeKey = context.randomBytes(VOLUME_KEY_BYTES);
  const wrapped = wrapSecrets(context, driveId, { volumeKey, passphrase: Buffer.from(passphrase) });
  return { passphrase, wrapped };
}

/** Wraps what opens a drive under the current master key. */
export function wrapSecrets(
  { keyVault }: Pick<ServiceContext, 'keyVault'>,
  driveId: string,
  secrets: { volumeKey: Uint8Array; passphrase: Uint8Array },
): WrappedKeys {
  return {
    masterKeyId: keyVault.currentId(),
    volumeKey: keyVault.wrap(secrets.volumeKey, { driveId, purpose: 'volume-key' }),
    passphrase: keyVault.wrap(secrets.passphrase, { driveId, purpose: 'passphrase' }),
  };
}

/** A random word of letters and digits, each as likely as any other. */
export function randomWord(randomBytes: (lengthBytes: number) => Uint8Array, length: number): string {
  const fair = 256 - (256 % ALPHABET.length);
  let word = '';
  while (word.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < fair && word.length < length) word += ALPHABET[byte % ALPHABET.length] ?? '';
    }
  }
  return word;
}
