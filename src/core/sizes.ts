/** One mebibyte in bytes. */
export const MIB = 1024 * 1024;
/** One gibibyte in bytes. */
export const GIB = 1024 * MIB;
/** The unit in which LUKS, disks and guests address data. */
export const SECTOR_BYTES = 512;
/** The largest drive: one pebibyte. Far below 2^53, so every size and offset is an exact number. */
export const MAX_DRIVE_BYTES = 2 ** 50;

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

const SIZE_TEXT = /^([0-9]+)([kmgt]?)$/i;

/**
 * Reads a size or an offset as clients write it: decimal digits, optionally followed by k, M, G or T of
 * either case, in powers of 1024.
 *
 * @returns the number of bytes, or null when the text is no size or is beyond 2^53 - 1
 */
export function parseSizeBytes(text: string): number | null {
  const match = SIZE_TEXT.exec(text);
  const digits = match?.[1];
  const unit = UNITS[match?.[2]?.toLowerCase() ?? ''];
  if (digits === undefined || unit === undefined) return null;
  const sizeBytes = Number(digits) * unit;
  return Number.isSafeInteger(sizeBytes) ? sizeBytes : null;
}

/** Whether the text has the form of a size. One that `parseSizeBytes` makes nothing of is too large then. */
export function isSizeText(text: string): boolean {
  return SIZE_TEXT.test(text);
}

/** Rounds up to a multiple of `unit`. */
export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** Rounds down to a multiple of `unit`. */
export function roundDown(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}
