import { MIB } from '../core/sizes.ts';

/** The most that one read returns. */
export const MAX_READ_BYTES = 4 * MIB;
/** The most that the body of one write may have, as sent. */
export const MAX_BODY_BYTES = 64 * MIB;
/** Drives that a list takes from the metadata at a time. */
export const LIST_PAGE_DRIVES = 500;
/** How long an Idempotency-Key is remembered. */
export const IDEMPOTENCY_MS = 24 * 60 * 60 * 1000;
/** How long a create waits for another one under the same Idempotency-Key to be done. */
export const IDEMPOTENCY_WAIT_MS = 30_000;
