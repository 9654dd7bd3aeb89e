/** As they are called on the wire. */
export type DigestAlgorithm = 'sha-256' | 'aes-128-gmac';

/** What a client says that a body is, as it is sent; null for what it does not say. */
export interface BodyDigest {
  readonly sha256: Uint8Array | null;
  /** See `gmacOf`. */
  readonly gmac: Uint8Array | null;
}

export const NO_DIGEST: BodyDigest = { sha256: null, gmac: null };
