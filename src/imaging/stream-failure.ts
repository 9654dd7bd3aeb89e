import { DriveError } from '../core/errors.ts';

export type Unpacking = 'gunzip' | 'unzstd';

const FORMATS: Readonly<Record<Unpacking, string>> = { gunzip: 'gzip', unzstd: 'zstd' };
const GZIP_MAGIC = 0x1f8b;
/** A zstd frame, and a frame that decoders skip, whose lowest four bits are free. */
const ZSTD_MAGIC = 0xfd2fb528;
const ZSTD_SKIPPABLE_MAGIC = 0x184d2a5;

/** Whether the bytes begin as a stream of this kind does. */
export function startsWithMagic(bytes: Buffer, unpacking: Unpacking): boolean {
  if (unpacking === 'gunzip') return bytes.length >= 2 && bytes.readUInt16BE(0) === GZIP_MAGIC;
  if (bytes.length < 4) return false;
  const magic = bytes.readUInt32LE(0);
  return magic === ZSTD_MAGIC || magic >>> 4 === ZSTD_SKIPPABLE_MAGIC;
}

export function notAStream(driveId: string, unpacking: Unpacking): DriveError {
  return mistake(driveId, `Drive ${driveId} does not begin with a ${FORMATS[unpacking]} stream.`);
}

export function garbageBehind(driveId: string, unpacking: Unpacking): DriveError {
  const format = FORMATS[unpacking];
  return mistake(
    driveId,
    `The ${format} stream of drive ${driveId} is followed by something that is neither ${format} nor zeros.`,
  );
}

/**
 * Translates what the decompressor says; other errors stay as they are.
 *
 * @param isPastData whether it had already taken zeros from behind the drive's data for a part of the stream. Then
 *   whatever it says comes of that.
 */
export function streamFailure(
  error: unknown,
  { driveId, unpacking, isPastData }: { driveId: string; unpacking: Unpacking; isPastData: boolean },
): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error;
  const stream = `The ${FORMATS[unpacking]} stream of drive ${driveId}`;
  const isMisfit = error instanceof DriveError && error.code === 'usage';
  if (error.code === 'Z_BUF_ERROR' || (isPastData && isMisfit)) {
    return mistake(driveId, `${stream} is incomplete: the drive's data ends before it does.`, error);
  }
  if (error.code === 'ZSTD_error_frameParameter_windowTooLarge') {
    return mistake(driveId, `${stream} needs more than 128 MiB of memory to unpack.`, error);
  }
  if (error.code === 'ZSTD_error_dictionary_wrong') {
    return mistake(driveId, `${stream} needs a dictionary to unpack, which Drivebay does not have.`, error);
  }
  // Its first member was looked at before: what does not begin like one comes behind another.
  if (error.message === 'incorrect header check') return garbageBehind(driveId, unpacking);
  if (error.code.startsWith('Z_') || error.code.startsWith('ZSTD_')) {
    return mistake(driveId, `${stream} is corrupt.`, error);
  }
  return error;
}

function mistake(driveId: string, sentence: string, cause?: Error): DriveError {
  return new DriveError('usage', sentence, { drive: driveId }, cause);
}
