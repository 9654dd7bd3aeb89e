/**
 * The fields of a LUKS1 header, byte for byte as the LUKS On-Disk Format Specification 1.2.3 lays them out. Numbers are
 * big-endian, texts end with zero bytes.
 */
export interface Luks1Header {
  readonly cipherName: string;
  readonly cipherMode: string;
  readonly hash: string;
  readonly payloadOffsetBytes: number;
  readonly keyBytes: number;
  /** PBKDF2 of the volume key, by which a right passphrase is told from a wrong one. */
  readonly digest: Uint8Array;
  readonly digestSalt: Uint8Array;
  readonly digestIterations: number;
  readonly uuid: string;
  readonly slots: readonly Luks1Slot[];
}

/** One of the eight places for a passphrase. */
export interface Luks1Slot {
  readonly isActive: boolean;
  readonly iterations: number;
  readonly salt: Uint8Array;
  /** Where the split, encrypted volume key is. */
  readonly materialOffsetBytes: number;
  readonly stripes: number;
}

const MAGIC = Buffer.from('LUKS\xba\xbe', 'latin1');
const VERSION = 1;
const SECTOR_BYTES = 512;
const SLOT_ACTIVE = 0x00ac71f3;
const SLOT_INACTIVE = 0x0000dead;

export const SLOT_COUNT = 8;
export const DIGEST_BYTES = 20;
export const SALT_BYTES = 32;
/** Length of all the fields. */
export const FIELDS_BYTES = 592;

// Offsets of the fields.
const AT_VERSION = 6;
const AT_CIPHER_NAME = 8;
const AT_CIPHER_MODE = 40;
const AT_HASH = 72;
const AT_PAYLOAD_OFFSET = 104;
const AT_KEY_BYTES = 108;
const AT_DIGEST = 112;
const AT_DIGEST_SALT = 132;
const AT_DIGEST_ITERATIONS = 164;
const AT_UUID = 168;
const AT_SLOTS = 208;
const NAME_BYTES = 32;
const UUID_BYTES = 40;
const SLOT_BYTES = 48;

/** The fields as bytes. */
export function encodeLuks1Header(header: Luks1Header): Buffer {
  const bytes = Buffer.alloc(FIELDS_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt16BE(VERSION, AT_VERSION);
  bytes.write(header.cipherName, AT_CIPHER_NAME, 'latin1');
  bytes.write(header.cipherMode, AT_CIPHER_MODE, 'latin1');
  bytes.write(header.hash, AT_HASH, 'latin1');
  bytes.writeUInt32BE(header.payloadOffsetBytes / SECTOR_BYTES, AT_PAYLOAD_OFFSET);
  bytes.writeUInt32BE(header.keyBytes, AT_KEY_BYTES);
  bytes.set(header.digest, AT_DIGEST);
  bytes.set(header.digestSalt, AT_DIGEST_SALT);
  bytes.writeUInt32BE(header.digestIterations, AT_DIGEST_ITERATIONS);
  bytes.write(header.uuid, AT_UUID, 'latin1');
  for (const [index, slot] of header.slots.entries()) {
    const at = AT_SLOTS + index * SLOT_BYTES;
    bytes.writeUInt32BE(slot.isActive ? SLOT_ACTIVE : SLOT_INACTIVE, at);
    bytes.writeUInt32BE(slot.iterations, at + 4);
    bytes.set(slot.salt, at + 8);
    bytes.writeUInt32BE(slot.materialOffsetBytes / SECTOR_BYTES, at + 40);
    bytes.writeUInt32BE(slot.stripes, at + 44);
  }
  return bytes;
}

/** Reads the fields. Throws an Error that says what is wrong when this is no LUKS1 header. */
export function decodeLuks1Header(header: Uint8Array): Luks1Header {
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.byteLength);
  if (bytes.byteLength < FIELDS_BYTES)
    throw new Error(`A LUKS1 header of ${bytes.byteLength} bytes is too short.`);
  if (!bytes.subarray(0, MAGIC.byteLength).equals(MAGIC)) throw new Error('This is no LUKS volume.');
  const version = bytes.readUInt16BE(AT_VERSION);
  if (version !== VERSION)
    throw new Error(`This is a LUKS volume of version ${version}; only 1 can be read.`);
  return {
    cipherName: textAt(bytes, AT_CIPHER_NAME, NAME_BYTES),
    cipherMode: textAt(bytes, AT_CIPHER_MODE, NAME_BYTES),
    hash: textAt(bytes, AT_HASH, NAME_BYTES),
    payloadOffsetBytes: bytes.readUInt32BE(AT_PAYLOAD_OFFSET) * SECTOR_BYTES,
    keyBytes: bytes.readUInt32BE(AT_KEY_BYTES),
    digest: bytes.subarray(AT_DIGEST, AT_DIGEST + DIGEST_BYTES),
    digestSalt: bytes.subarray(AT_DIGEST_SALT, AT_DIGEST_SALT + SALT_BYTES),
    digestIterations: bytes.readUInt32BE(AT_DIGEST_ITERATIONS),
    uuid: textAt(bytes, AT_UUID, UUID_BYTES),
    slots: Array.from({ length: SLOT_COUNT }, (_, index) => decodeSlot(bytes, AT_SLOTS + index * SLOT_BYTES)),
  };
}

function decodeSlot(bytes: Buffer, at: number): Luks1Slot {
  return {
    isActive: bytes.readUInt32BE(at) === SLOT_ACTIVE,
    iterations: bytes.readUInt32BE(at + 4),
    salt: bytes.subarray(at + 8, at + 40),
    materialOffsetBytes: bytes.readUInt32BE(at + 40) * SECTOR_BYTES,
    stripes: bytes.readUInt32BE(at + 44),
  };
}

function textAt(bytes: Buffer, at: number, lengthBytes: number): string {
  const text = bytes.toString('latin1', at, at + lengthBytes);
  const end = text.indexOf('\0');
  return end === -1 ? text : text.slice(0, end);
}
