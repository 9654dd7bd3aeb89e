import { hash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { gmacOf } from '../../runtime/gmac.ts';
import { BLOCK_BYTES } from '../api/drive-api.ts';
import type { PieceWrite } from '../api/drive-api.ts';

const ZEROS = Buffer.alloc(BLOCK_BYTES);

/** Whether all bytes are zero. A comparison with zeros is one memcmp, which stops at the first difference. */
export function isZero(bytes: Buffer): boolean {
  return ZEROS.compare(bytes, 0, bytes.length, 0, bytes.length) === 0;
}

/** At most a block of zeros; never to be written to. */
export function zeros(sizeBytes: number): Buffer {
  return ZEROS.subarray(0, sizeBytes);
}

export function sha256Hex(bytes: Buffer): string {
  return hash('sha256', bytes, 'hex');
}

/** Makes writes of zeros. They travel packed, and each size is packed once: a drive has at most two. */
export function createZeroWrites(): (range: { offsetBytes: number; sizeBytes: number }) => PieceWrite {
  const packed = new Map<number, { body: Buffer; gmac: Buffer }>();
  return ({ offsetBytes, sizeBytes }) => {
    const known = packed.get(sizeBytes);
    if (known !== undefined) return { offsetBytes, isGzip: true, ...known };
    const body = gzipSync(zeros(sizeBytes));
    const made = { body, gmac: gmacOf([body]) };
    packed.set(sizeBytes, made);
    return { offsetBytes, isGzip: true, ...made };
  };
}
