import { createCipheriv, createDecipheriv, pbkdf2Sync, timingSafeEqual } from 'node:crypto';
import { MIB, roundUp, SECTOR_BYTES } from '../core/sizes.ts';
import { mergeSecret, splitSecret } from './anti-forensic.ts';
import {
  decodeLuks1Header,
  DIGEST_BYTES,
  encodeLuks1Header,
  SALT_BYTES,
  SLOT_COUNT,
} from './luks1-header.ts';
import type { Luks1Header, Luks1Slot } from './luks1-header.ts';

/** Where the data of a volume that Drivebay makes begins: what cryptsetup and qemu-img choose too. */
export const LUKS1_PAYLOAD_OFFSET_BYTES = 2 * MIB;

const CIPHER_NAME = 'aes';
/** `plain64` numbers sectors in 64 bits; `plain` would repeat after 2 TiB and is the same below. */
const CIPHER_MODE = 'xts-plain64';
const HASH = 'sha256';
const KEY_BYTES = 64;
const STRIPES = 4000;
/**
 * The fewest that LUKS allows. More iterations slow down guessing passphrases that people choose; ours are random with
 * more than 190 bits, which nobody guesses, and opening a drive should not cost a second of processor time.
 */
const ITERATIONS = 1000;
/** What opening a volume may cost: other tools write some millions. */
const MAX_ITERATIONS = 100_000_000;
const SLOT_ALIGNMENT_BYTES = 4096;
const MATERIAL_BYTES = KEY_BYTES * STRIPES;
/** Slots are spaced for their key material; the first begins after the fields. */
const SLOT_SPACING_BYTES = roundUp(MATERIAL_BYTES, SLOT_ALIGNMENT_BYTES);

/**
 * Makes the header of a LUKS1 volume (aes, xts-plain64, sha256, 512-bit key) whose first keyslot the passphrase opens.
 * The bytes go to the start of the volume; what follows up to `LUKS1_PAYLOAD_OFFSET_BYTES` is unused. Its length is a
 * multiple of 4096.
 *
 * @param options.passphrase printable letters and digits, random with at least 128 bits
 * @param options.uuid of the volume: the drive's
 */
export function formatLuks1Header(options: {
  volumeKey: Uint8Array;
  passphrase: string;
  uuid: string;
  random: (lengthBytes: number) => Uint8Array;
}): Uint8Array {
  const { volumeKey, passphrase, uuid, random } = options;
  if (volumeKey.byteLength !== KEY_BYTES) throw new RangeError(`A volume key is ${KEY_BYTES} bytes.`);
  if (!/^[A-Za-z0-9]{22,512}$/.test(passphrase)) {
    throw new RangeError('A passphrase is at least 22 letters and digits.');
  }
  const digestSalt = random(SALT_BYTES);
  const slots = Array.from({ length: SLOT_COUNT }, (_, index): Luks1Slot => ({
    isActive: index === 0,
    iterations: index === 0 ? ITERATIONS : 0,
    salt: index === 0 ? random(SALT_BYTES) : new Uint8Array(SALT_BYTES),
    materialOffsetBytes: SLOT_ALIGNMENT_BYTES + index * SLOT_SPACING_BYTES,
    stripes: STRIPES,
  }));
  const header: Luks1Header = {
    cipherName: CIPHER_NAME,
    cipherMode: CIPHER_MODE,
    hash: HASH,
    payloadOffsetBytes: LUKS1_PAYLOAD_OFFSET_BYTES,
    keyBytes: KEY_BYTES,
    digest: pbkdf2Sync(volumeKey, digestSalt, ITERATIONS, DIGEST_BYTES, HASH),
    digestSalt,
    digestIterations: ITERATIONS,
    uuid,
    slots,
  };
  const bytes = new Uint8Array(SLOT_ALIGNMENT_BYTES + SLOT_SPACING_BYTES);
  bytes.set(encodeLuks1Header(header));
  const salt = slots[0]?.salt ?? new Uint8Array();
  const slotKey = pbkdf2Sync(passphrase, salt, ITERATIONS, KEY_BYTES, HASH);
  const material = splitSecret(volumeKey, { stripes: STRIPES, hashName: HASH, random });
  bytes.set(cryptMaterial('encrypt', slotKey, material), SLOT_ALIGNMENT_BYTES);
  return bytes;
}

/** What a passphrase opens. */
export interface OpenedLuks1 {
  readonly volumeKey: Uint8Array;
  readonly payloadOffsetBytes: number;
  readonly uuid: string;
}

/**
 * Opens a LUKS1 volume, also one made by cryptsetup or qemu-img, trying every active keyslot.
 *
 * @param options.header the volume's first bytes, with its key material: 2 MiB are always enough
 * @throws Error when it is no such volume, is encrypted in a way that Drivebay does not know, or no keyslot opens
 */
export function openLuks1({ header, passphrase }: { header: Uint8Array; passphrase: string }): OpenedLuks1 {
  const fields = decodeLuks1Header(header);
  checkSupported(fields);
  for (const slot of fields.slots) {
    if (!slot.isActive) continue;
    const volumeKey = trySlot({ header, fields, slot, passphrase });
    if (volumeKey !== null) {
      return { volumeKey, payloadOffsetBytes: fields.payloadOffsetBytes, uuid: fields.uuid };
    }
  }
  const isOpenable = fields.slots.some((slot) => slot.isActive);
  throw new Error(
    isOpenable
      ? 'The passphrase opens no keyslot of this LUKS volume.'
      : 'This LUKS volume has no active keyslot: nothing can open it.',
  );
}

function checkSupported({ cipherName, cipherMode, hash, keyBytes, digestIterations }: Luks1Header): void {
  const isKnownHash = ['sha1', 'sha256', 'sha512'].includes(hash);
  if (cipherName !== CIPHER_NAME || cipherMode !== CIPHER_MODE || keyBytes !== KEY_BYTES || !isKnownHash) {
    throw new Error(
      `This LUKS volume is encrypted with ${cipherName}-${cipherMode}, a ${keyBytes * 8}-bit key and ${hash}; ` +
        `only ${CIPHER_NAME}-${CIPHER_MODE} with a ${KEY_BYTES * 8}-bit key and sha1, sha256 or sha512 can be read.`,
    );
  }
  checkIterations(digestIterations);
}

function checkIterations(iterations: number): void {
  if (iterations >= 1 && iterations <= MAX_ITERATIONS) return;
  throw new Error(`This LUKS header is damaged: ${iterations} iterations are none that a tool would write.`);
}

function trySlot(attempt: {
  header: Uint8Array;
  fields: Luks1Header;
  slot: Luks1Slot;
  passphrase: string;
}): Uint8Array | null {
  const { header, fields, slot, passphrase } = attempt;
  checkIterations(slot.iterations);
  const end = slot.materialOffsetBytes + roundUp(fields.keyBytes * slot.stripes, SECTOR_BYTES);
  if (slot.stripes < 1 || end > header.byteLength) {
    throw new Error('This LUKS header is damaged or cut off: key material lies outside of it.');
  }
  const slotKey = pbkdf2Sync(passphrase, slot.salt, slot.iterations, fields.keyBytes, fields.hash);
  const material = cryptMaterial('decrypt', slotKey, header.subarray(slot.materialOffsetBytes, end));
  const stripes = material.subarray(0, fields.keyBytes * slot.stripes);
  const volumeKey = mergeSecret(stripes, { secretBytes: fields.keyBytes, hashName: fields.hash });
  const { digest, digestSalt, digestIterations, hash } = fields;
  const candidate = pbkdf2Sync(volumeKey, digestSalt, digestIterations, DIGEST_BYTES, hash);
  return timingSafeEqual(candidate, digest) ? volumeKey : null;
}

/** Key material is encrypted like data, in sectors numbered from its own start. */
function cryptMaterial(direction: 'encrypt' | 'decrypt', key: Uint8Array, material: Uint8Array): Uint8Array {
  const create = direction === 'encrypt' ? createCipheriv : createDecipheriv;
  const result = new Uint8Array(material.byteLength);
  for (let at = 0; at < material.byteLength; at += SECTOR_BYTES) {
    const tweak = Buffer.alloc(16);
    tweak.writeUInt32LE(at / SECTOR_BYTES);
    result.set(create('aes-256-xts', key, tweak).update(material.subarray(at, at + SECTOR_BYTES)), at);
  }
  return result;
}
