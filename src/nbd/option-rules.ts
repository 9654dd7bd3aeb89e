import type { HandshakeLimits } from './limits.ts';
import { MAX_STRING_BYTES } from './limits.ts';
import type { NBD_REP } from './protocol-numbers.ts';
import { HANDSHAKE_MAGIC, NBD_OPT } from './protocol-numbers.ts';

/** Whether a listener has TLS: not at all, for whoever wants it, or for everybody. */
export type TlsMode = 'off' | 'offered' | 'required';

/** What stands before the data of an option. */
export interface OptionHeader {
  readonly magic: bigint;
  readonly option: number;
  readonly dataBytes: number;
}

/** Where the negotiation stands when an option comes. */
export interface Standing {
  readonly limits: HandshakeLimits;
  readonly tls: TlsMode;
  readonly isTls: boolean;
  readonly isFixedNewstyle: boolean;
  readonly extendedHeaders: boolean;
  readonly isStopping: boolean;
  /** Options up to and with this one. */
  readonly optionCount: number;
  /** Bytes up to and with this header. */
  readonly usedBytes: number;
}

/** Why a connection is cut by the rules of the protocol or by a limit. */
export type CutReason =
  | 'unknown-client-flags'
  | 'wrong-magic'
  | 'not-fixed-newstyle'
  | 'too-many-options'
  | 'too-much-data'
  | 'bad-export-name'
  | 'tls-required'
  | 'go-required'
  | 'bytes-before-tls'
  | 'stopping';

/** An error reply, with its sentence for people. */
export interface Refusal {
  readonly reply: keyof typeof NBD_REP;
  readonly sentence: string;
}

type OptionName = keyof typeof NBD_OPT;

/** Every option that is served, with whether it carries data. */
const CARRIES_DATA: Readonly<Record<OptionName, boolean>> = {
  EXPORT_NAME: true,
  ABORT: true,
  LIST: false,
  STARTTLS: false,
  INFO: true,
  GO: true,
  STRUCTURED_REPLY: false,
  LIST_META_CONTEXT: true,
  SET_META_CONTEXT: true,
  EXTENDED_HEADERS: false,
};

const KNOWN: ReadonlyMap<number, boolean> = new Map(
  (Object.keys(CARRIES_DATA) as OptionName[]).map((name) => [NBD_OPT[name], CARRIES_DATA[name]]),
);

export function parseOptionHeader(bytes: Buffer): OptionHeader {
  return {
    magic: bytes.readBigUInt64BE(0),
    option: bytes.readUInt32BE(8),
    dataBytes: bytes.readUInt32BE(12),
  };
}

/** Why the connection must end here; null when it need not. */
export function cutReason({ magic, option, dataBytes }: OptionHeader, standing: Standing): CutReason | null {
  if (magic !== HANDSHAKE_MAGIC.IHAVEOPT) return 'wrong-magic';
  if (standing.optionCount > standing.limits.options) return 'too-many-options';
  if (!standing.isFixedNewstyle && option !== NBD_OPT.EXPORT_NAME) return 'not-fixed-newstyle';
  // An abort ends everything, so it does not matter what comes with it.
  if (option === NBD_OPT.ABORT) return null;
  if (dataBytes > standing.limits.handshakeBytes - standing.usedBytes) return 'too-much-data';
  return option === NBD_OPT.EXPORT_NAME ? exportNameCut(dataBytes, standing) : null;
}

/** EXPORT_NAME has no error replies: whatever is wrong ends the connection. */
function exportNameCut(dataBytes: number, standing: Standing): CutReason | null {
  if (standing.isStopping) return 'stopping';
  if (standing.tls === 'required' && !standing.isTls) return 'tls-required';
  if (standing.extendedHeaders) return 'go-required';
  const nameBytes = Math.min(MAX_STRING_BYTES, standing.limits.optionBytes);
  return dataBytes > nameBytes ? 'bad-export-name' : null;
}

/** The error reply to an option that is refused whatever its data; null when the data have to be looked at. */
export function refusalOf({ option, dataBytes }: OptionHeader, standing: Standing): Refusal | null {
  if (standing.isStopping) return { reply: 'ERR_SHUTDOWN', sentence: 'The server is stopping.' };
  if (standing.tls === 'required' && !standing.isTls && option !== NBD_OPT.STARTTLS)
    return { reply: 'ERR_TLS_REQD', sentence: 'This server requires TLS.' };
  const carriesData = KNOWN.get(option);
  if (carriesData === undefined) return { reply: 'ERR_UNSUP', sentence: 'This option is not known here.' };
  if (!carriesData && dataBytes > 0)
    return { reply: 'ERR_INVALID', sentence: 'This option carries no data.' };
  if (dataBytes > standing.limits.optionBytes)
    return { reply: 'ERR_TOO_BIG', sentence: `More than ${standing.limits.optionBytes} bytes of data.` };
  return null;
}
