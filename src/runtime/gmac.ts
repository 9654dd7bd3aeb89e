import { createCipheriv } from 'node:crypto';

const ZERO_KEY = new Uint8Array(16);
const ZERO_NONCE = new Uint8Array(12);

/**
 * AES-128-GMAC (NIST SP 800-38D) of bytes that come in parts, with a key and a nonce of zeros. That keeps no secret, and anybody
 * can make other bytes of the same sum: it is for accidents alone, which it misses once in 2^128, and costs a tenth of SHA-256.
 */
export function gmacOf(parts: readonly Uint8Array[]): Buffer {
  const cipher = createCipheriv('aes-128-gcm', ZERO_KEY, ZERO_NONCE);
  for (const part of parts) cipher.setAAD(part);
  cipher.final();
  return cipher.getAuthTag();
}
