import { MIB } from '../core/sizes.ts';

/** The most bytes of an export's name, and of any other string, by the protocol. */
export const MAX_STRING_BYTES = 4096;
/** The largest READ and WRITE. The protocol asks clients to stay below it when they are told nothing. */
export const MAX_REQUEST_BYTES = 32 * MIB;

/** Every limit of the handshake, in one place. */
export interface HandshakeLimits {
  /** The most bytes of one option's data that are looked at; more is NBD_REP_ERR_TOO_BIG. */
  readonly optionBytes: number;
  /** Options of one connection; with one more it is cut. */
  readonly options: number;
  /** The most bytes that a client may send before transmission, data that is skipped included; beyond that it is cut. */
  readonly handshakeBytes: number;
  /** From the connection to transmission, TLS and penalties included. */
  readonly handshakeMs: number;
  /** How long a connection that has been refused may stay to take its last answer. */
  readonly closingMs: number;
  /** How long a client may go on with its handshake when the server stops. */
  readonly stoppingMs: number;
}

export const DEFAULT_HANDSHAKE_LIMITS: HandshakeLimits = {
  optionBytes: 16 * 1024,
  options: 64,
  handshakeBytes: 256 * 1024,
  handshakeMs: 30_000,
  closingMs: 1_000,
  stoppingMs: 500,
};
