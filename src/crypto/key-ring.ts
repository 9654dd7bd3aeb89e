import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/** Master keys: the first wraps new secrets, all of them unwrap. */
export interface KeyRing {
  readonly current: MasterKey;
  readonly all: readonly MasterKey[];
}

export interface MasterKey {
  /** The first 16 hex digits of the key's SHA-256: tells keys apart and says nothing about them. */
  readonly id: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const VERSION = 1;
const HEAD_BYTES = 1 + NONCE_BYTES + TAG_BYTES;

/**
 * Reads a key ring: one key of 64 hex digits a line, or with spaces between them; lines that begin with # are passed over.
 *
 * @throws Error that says what is wrong and never shows a key
 */
export function parseKeyRing(text: string): KeyRing {
  const words = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .flatMap((line) => line.split(/\s+/))
    .filter((word) => word !== '');
  const all = words.map((word, index) => {
    if (!/^[0-9a-f]{64}$/i.test(word)) throw new Error(`Master key ${index + 1} is not 64 hex digits.`);
    return masterKey(Buffer.from(word, 'hex'));
  });
  const [current] = all;
  if (current === undefined) throw new Error('There is no master key: 64 hex digits are needed.');
  return { current, all };
}

export function formatKeyRing(ring: KeyRing): string {
  const lines = ring.all.map(({ key }) => Buffer.from(key).toString('hex'));
  return `# Drivebay's master keys, the current one first. Whoever has them can read every drive.\n${lines.join('\n')}\n`;
}

/** The ring with a new random key put first. */
export function withNewKey(ring: KeyRing | null): KeyRing {
  const current = masterKey(randomBytes(KEY_BYTES));
  return { current, all: [current, ...(ring?.all ?? [])] };
}

/** The ring without its older keys. */
export function withoutOldKeys({ current }: KeyRing): KeyRing {
  return { current, all: [current] };
}

function masterKey(key: Uint8Array): MasterKey {
  return { key, id: createHash('sha256').update(key).digest('hex').slice(0, 16) };
}

/**
 * Wraps a secret with AES-256-GCM (NIST SP 800-38D).
 *
 * @param associated what the secret is for; needed again to unwrap it
 * @returns version byte, nonce, tag, ciphertext
 */
export function wrapSecret({ key }: MasterKey, secret: Uint8Array, associated: string): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(associated));
  const ciphertext = Buffer.concat([cipher.update(secret), cipher.final()]);
  return Buffer.concat([Buffer.of(VERSION), nonce, cipher.getAuthTag(), ciphertext]);
}

/** The secret; throws when the key, the associated data or any byte is another one. */
export function unwrapSecret({ key }: MasterKey, wrapped: Uint8Array, associated: string): Uint8Array {
  if (wrapped[0] !== VERSION || wrapped.byteLength < HEAD_BYTES)
    throw new Error('This is no wrapped secret.');
  const nonce = wrapped.subarray(1, 1 + NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(associated))
    .setAuthTag(wrapped.subarray(1 + NONCE_BYTES, HEAD_BYTES));
  return Buffer.concat([decipher.update(wrapped.subarray(HEAD_BYTES)), decipher.final()]);
}
