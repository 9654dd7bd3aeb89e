import { MIB } from '../core/sizes.ts';

/** The most that one read returns. */
export const MAX_READ_BYTES = 4 * MIB;
/** The most that the body of one write may have, as sent. */
export const MAX_BODY_BYTES = 64 * MIB;
/** Drives that a list takes from the metadata at a time. */
export const LIST_PAGE_DRIVES = 500;
/** How often to look whether programs that have a drive open past Drivebay have been kept out. */
export const MAX_KEEP_OUT_ROUNDS = 10;
/** Random bytes of a claim's secret, which is their hex. */
export const CLAIM_SECRET_BYTES = 32;
/** The longest lease of a claim: a day. */
export const MAX_LEASE_SECONDS = 86_400;
/** Servers that may hold a shared drive at once. */
export const MAX_CLAIMS = 256;
/** Expired claims that are looked at in one go. */
export const MAX_SWEPT_CLAIMS = 1000;
/** Drives that were left open past Drivebay when their claim ended, and are looked at in one go. */
export const MAX_LEFT_OPEN = 1000;
/** How long whoever has ended such a claim may take, at least, before others do it in its place; at most twice as long. */
export const LEFT_OPEN_MS = 60_000;
/** A drive that has been creating for longer is given up, also when another node may be at it. */
export const CREATE_MS = 10 * 60_000;
/** How long a resize waits for one of the same drive through another node. */
export const RESIZE_WAIT_MS = 30_000;
/** Notices of other nodes that are looked at in one go. */
export const MAX_NOTICES = 1000;
/** How long an Idempotency-Key is remembered. */
export const IDEMPOTENCY_MS = 24 * 60 * 60 * 1000;
/** How long a create waits for another one under the same Idempotency-Key to be done. */
export const IDEMPOTENCY_WAIT_MS = 30_000;
/** Drives of which a process remembers what was done to them, those used last. */
export const MAX_ACTIVE_DRIVES = 1000;
