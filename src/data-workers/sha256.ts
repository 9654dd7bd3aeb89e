import { createHash, hash } from 'node:crypto';
import type { PairHashing } from '../runtime/sha256-pair.ts';

/** SHA-256 of buffers one after the other; in one call where there is one, which is much faster for small ones. */
export function sha256Of(buffers: readonly Uint8Array[]): Uint8Array {
  const [first] = buffers;
  if (buffers.length === 1 && first !== undefined) return hash('sha256', first, 'buffer');
  const digest = createHash('sha256');
  for (const buffer of buffers) digest.update(buffer);
  return digest.digest();
}

/** SHA-256 of each message, by twos. */
export function sha256OfEach(
  messages: readonly (readonly Uint8Array[])[],
  { sha256Pair }: PairHashing,
): readonly Uint8Array[] {
  const hashes: Uint8Array[] = [];
  for (let index = 0; index < messages.length; index += 2) {
    const [one, other] = messages.slice(index, index + 2);
    if (one !== undefined && other !== undefined) hashes.push(...sha256Pair(one, other));
    else if (one !== undefined) hashes.push(sha256Of(one));
  }
  return hashes;
}
