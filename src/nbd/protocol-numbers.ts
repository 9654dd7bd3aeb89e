// The numbers of the NBD protocol that Drivebay uses, by their names in the specification: NBD_OPT.GO is its NBD_OPT_GO.
// Source: doc/proto.md of github.com/NetworkBlockDevice/nbd. All integers are big-endian on the wire.

/** What the server says first, and what stands before each option and each reply to one. 64 bits each. */
export const HANDSHAKE_MAGIC = {
  NBDMAGIC: 0x4e42444d41474943n,
  IHAVEOPT: 0x49484156454f5054n,
  OPTION_REPLY: 0x0003e889045565a9n,
} as const;

/** Handshake flags of the server, 16 bits, and of the client (the spec's NBD_FLAG_C_…), 32 bits: the same bits. */
export const NBD_HANDSHAKE_FLAG = {
  FIXED_NEWSTYLE: 1 << 0,
  NO_ZEROES: 1 << 1,
} as const;

export const NBD_OPT = {
  EXPORT_NAME: 1,
  ABORT: 2,
  LIST: 3,
  STARTTLS: 5,
  INFO: 6,
  GO: 7,
  STRUCTURED_REPLY: 8,
  LIST_META_CONTEXT: 9,
  SET_META_CONTEXT: 10,
  EXTENDED_HEADERS: 11,
} as const;

const REPLY_ERROR = 2 ** 31;

/** Types of the replies to options. */
export const NBD_REP = {
  ACK: 1,
  SERVER: 2,
  INFO: 3,
  META_CONTEXT: 4,
  ERR_UNSUP: REPLY_ERROR + 1,
  ERR_POLICY: REPLY_ERROR + 2,
  ERR_INVALID: REPLY_ERROR + 3,
  ERR_PLATFORM: REPLY_ERROR + 4,
  ERR_TLS_REQD: REPLY_ERROR + 5,
  ERR_UNKNOWN: REPLY_ERROR + 6,
  ERR_SHUTDOWN: REPLY_ERROR + 7,
  ERR_BLOCK_SIZE_REQD: REPLY_ERROR + 8,
  ERR_TOO_BIG: REPLY_ERROR + 9,
  ERR_EXT_HEADER_REQD: REPLY_ERROR + 10,
} as const;

/** What INFO and GO may ask about an export. */
export const NBD_INFO = {
  EXPORT: 0,
  NAME: 1,
  DESCRIPTION: 2,
  BLOCK_SIZE: 3,
} as const;

/** Transmission flags, 16 bits: what an export can do. */
export const NBD_FLAG = {
  HAS_FLAGS: 1 << 0,
  READ_ONLY: 1 << 1,
  SEND_FLUSH: 1 << 2,
  SEND_FUA: 1 << 3,
  ROTATIONAL: 1 << 4,
  SEND_TRIM: 1 << 5,
  SEND_WRITE_ZEROES: 1 << 6,
  SEND_DF: 1 << 7,
  CAN_MULTI_CONN: 1 << 8,
  SEND_CACHE: 1 << 10,
  SEND_FAST_ZERO: 1 << 11,
} as const;

/** What stands before each request and each reply of the transmission. 32 bits each. */
export const TRANSMISSION_MAGIC = {
  NBD_REQUEST: 0x25609513,
  NBD_EXTENDED_REQUEST: 0x21e41c71,
  NBD_SIMPLE_REPLY: 0x67446698,
  NBD_STRUCTURED_REPLY: 0x668e33ef,
  NBD_EXTENDED_REPLY: 0x6e8a278c,
} as const;

/** Bytes of the header of each kind of message of the transmission. */
export const HEADER_BYTES = {
  /** Magic 4, flags 2, type 2, cookie 8, offset 8, length 4. */
  request: 28,
  /** The same with a length of 8. */
  extendedRequest: 32,
  /** Magic 4, error 4, cookie 8. */
  simpleReply: 16,
  /** Magic 4, flags 2, type 2, cookie 8, length 4. */
  structuredReply: 20,
  /** Magic 4, flags 2, type 2, cookie 8, offset 8, length 8. */
  extendedReply: 32,
} as const;

export const NBD_CMD = {
  READ: 0,
  WRITE: 1,
  DISC: 2,
  FLUSH: 3,
  TRIM: 4,
  CACHE: 5,
  WRITE_ZEROES: 6,
  BLOCK_STATUS: 7,
} as const;

export const NBD_CMD_FLAG = {
  FUA: 1 << 0,
  NO_HOLE: 1 << 1,
  DF: 1 << 2,
  REQ_ONE: 1 << 3,
  FAST_ZERO: 1 << 4,
  /** Only with extended headers: the length is that of a payload that follows. A WRITE always has it there. */
  PAYLOAD_LEN: 1 << 5,
} as const;

export const NBD_REPLY_FLAG = {
  /** The last chunk of a reply. */
  DONE: 1 << 0,
} as const;

const CHUNK_ERROR = 2 ** 15;

/** Types of the chunks of structured and extended replies. */
export const NBD_REPLY_TYPE = {
  NONE: 0,
  OFFSET_DATA: 1,
  OFFSET_HOLE: 2,
  BLOCK_STATUS: 5,
  /** In place of BLOCK_STATUS whenever headers are extended. */
  BLOCK_STATUS_EXT: 6,
  ERROR: CHUNK_ERROR + 1,
  ERROR_OFFSET: CHUNK_ERROR + 2,
} as const;

/** Flags of an extent in `base:allocation`. */
export const NBD_STATE = {
  HOLE: 1 << 0,
  ZERO: 1 << 1,
} as const;

/** Errors of the transmission; close to those of Linux, but fixed by the protocol. */
export const NBD_ERROR = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
} as const;

/** The port that is registered for NBD. */
export const NBD_PORT = 10_809;
/** The one metadata context that there is: which parts of an export hold data. */
export const BASE_ALLOCATION = 'base:allocation';
