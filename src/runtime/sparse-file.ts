import koffi from 'koffi';

const SEEK_DATA = 3;
const ENXIO = 6;

const lseek = koffi.load(null).func('int64_t lseek(int fd, int64_t offset, int whence)');

/**
 * The offset of the first byte at or after `fromBytes` that is not in a hole, by lseek(2) with SEEK_DATA; null when only
 * a hole is left. Where the file system does not know, everything is data.
 */
export function nextDataBytes(fd: number, fromBytes: number): number | null {
  const offset = Number(lseek(fd, fromBytes, SEEK_DATA));
  if (offset >= 0) return offset;
  return koffi.errno() === ENXIO ? null : fromBytes;
}
