/** The master keys, under which everything that opens a drive is wrapped. */
export interface KeyVault {
  /** The id of the master key that new secrets are wrapped under. */
  readonly currentId: () => string;
  /** Wraps a secret so that it can only be unwrapped for the same drive and purpose. */
  wrap(secret: Uint8Array, context: SecretContext): Uint8Array;
  /** Throws DriveError failed when no master key is there that opens it. */
  unwrap(wrapped: Uint8Array, context: SecretContext & { masterKeyId: string }): Uint8Array;
  /**
   * Begins a rotation: makes a new current key where Drivebay keeps the keys itself, and reads them again where the
   * operator does. Older keys still unwrap.
   */
  beginRotation(): Promise<void>;
  /** Ends a rotation, once nothing is wrapped under older keys: they are forgotten. */
  endRotation(): Promise<void>;
}

export interface SecretContext {
  readonly driveId: string;
  readonly purpose: 'volume-key' | 'passphrase';
}
