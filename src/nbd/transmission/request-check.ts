import { MAX_REQUEST_BYTES } from '../limits.ts';
import { NBD_CMD, NBD_CMD_FLAG, NBD_ERROR } from '../protocol-numbers.ts';
import type { Request } from './request.ts';

/** What requests of a connection are checked against. */
export interface RequestRules {
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  readonly isExtended: boolean;
  readonly hasStructuredReplies: boolean;
  readonly hasContext: boolean;
}

const { FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO, PAYLOAD_LEN } = NBD_CMD_FLAG;

/** The flags that each command may have. FUA is passed over where nothing is changed, as the protocol asks. */
const FLAGS: ReadonlyMap<number, number> = new Map([
  [NBD_CMD.READ, FUA | DF],
  [NBD_CMD.WRITE, FUA | PAYLOAD_LEN],
  [NBD_CMD.DISC, FUA],
  [NBD_CMD.FLUSH, FUA],
  [NBD_CMD.TRIM, FUA],
  [NBD_CMD.CACHE, FUA],
  [NBD_CMD.WRITE_ZEROES, FUA | NO_HOLE | FAST_ZERO],
  [NBD_CMD.BLOCK_STATUS, FUA | REQ_ONE],
]);
const CHANGES: ReadonlySet<number> = new Set([NBD_CMD.WRITE, NBD_CMD.TRIM, NBD_CMD.WRITE_ZEROES]);

/** Whether data follows a request's header: what a WRITE carries, and any request that says so in an extended header. */
export function hasPayload({ command, flags }: Request, { isExtended }: RequestRules): boolean {
  return command === NBD_CMD.WRITE || (isExtended && (flags & PAYLOAD_LEN) !== 0);
}

/** The error that a request is answered with; 0 when it may be done. */
export function checkRequest(request: Request, rules: RequestRules): number {
  const { command, flags, offsetBytes, lengthBytes } = request;
  const known = FLAGS.get(command);
  if (known === undefined || (flags & ~known) !== 0) return NBD_ERROR.EINVAL;
  if (command === NBD_CMD.FLUSH || command === NBD_CMD.DISC) return 0;
  if ((flags & DF) !== 0 && !rules.hasStructuredReplies) return NBD_ERROR.EINVAL;
  const mayCarryLength = command === NBD_CMD.WRITE && rules.isExtended;
  if (((flags & PAYLOAD_LEN) !== 0) !== mayCarryLength && command === NBD_CMD.WRITE) return NBD_ERROR.EINVAL;
  if (CHANGES.has(command) && rules.isReadOnly) return NBD_ERROR.EPERM;
  if (lengthBytes === 0) return NBD_ERROR.EINVAL;
  if (command === NBD_CMD.READ && lengthBytes > MAX_REQUEST_BYTES)
    return (flags & DF) === 0 ? NBD_ERROR.EINVAL : NBD_ERROR.EOVERFLOW;
  if (command === NBD_CMD.BLOCK_STATUS && !rules.hasContext) return NBD_ERROR.EINVAL;
  if (offsetBytes + lengthBytes > rules.sizeBytes) {
    return command === NBD_CMD.WRITE || command === NBD_CMD.WRITE_ZEROES
      ? NBD_ERROR.ENOSPC
      : NBD_ERROR.EINVAL;
  }
  return 0;
}
