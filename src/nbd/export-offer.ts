import { NBD_FLAG } from './protocol-numbers.ts';

/** What a client is told about the export that it has named rightly. */
export interface ExportOffer {
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  /** Powers of two, the preferred one at least 512; the maximum is that of a READ or WRITE. */
  readonly minimumBlockBytes: number;
  readonly preferredBlockBytes: number;
  readonly maximumBlockBytes: number;
  /** Whether a flush on one connection covers what others have written. */
  readonly canMultiConn: boolean;
  /** For people. */
  readonly description: string;
}

/** The transmission flags of an export on a connection. */
export function transmissionFlags(offer: ExportOffer, structuredReplies: boolean): number {
  const always =
    NBD_FLAG.HAS_FLAGS |
    NBD_FLAG.SEND_FLUSH |
    NBD_FLAG.SEND_FUA |
    NBD_FLAG.SEND_TRIM |
    NBD_FLAG.SEND_WRITE_ZEROES |
    NBD_FLAG.SEND_CACHE |
    NBD_FLAG.SEND_FAST_ZERO;
  return (
    always |
    (offer.isReadOnly ? NBD_FLAG.READ_ONLY : 0) |
    (offer.canMultiConn ? NBD_FLAG.CAN_MULTI_CONN : 0) |
    (structuredReplies ? NBD_FLAG.SEND_DF : 0)
  );
}
