import type { ExportOffer } from './export-offer.ts';
import { DEFAULT_HANDSHAKE_LIMITS, type HandshakeLimits, MAX_REQUEST_BYTES } from './limits.ts';
import { type Agreement, type Effect, Negotiation, type Step } from './negotiation.ts';
import type { TlsMode } from './option-rules.ts';
import { HANDSHAKE_MAGIC, NBD_OPT, NBD_REP } from './protocol-numbers.ts';

/** The one export that these tests know. */
export const EXPORT_NAME = 'a-secret';
export const OFFER: ExportOffer = {
  sizeBytes: 5_000_000_000,
  isReadOnly: false,
  minimumBlockBytes: 1,
  preferredBlockBytes: 4096,
  maximumBlockBytes: MAX_REQUEST_BYTES,
  canMultiConn: true,
  description: 'drive web-1',
};

export function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** An option as a client sends it; `dataBytes` when it says another length than its data have. */
export function option(
  number: keyof typeof NBD_OPT | number,
  data: Buffer = Buffer.alloc(0),
  dataBytes = data.length,
): Buffer {
  const magic = Buffer.alloc(8);
  magic.writeBigUInt64BE(HANDSHAKE_MAGIC.IHAVEOPT);
  const code = typeof number === 'number' ? number : NBD_OPT[number];
  return Buffer.concat([magic, uint32(code), uint32(dataBytes), data]);
}

export function sizedString(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

export function infoData(exportName: string | Buffer, infos: readonly number[] = []): Buffer {
  return Buffer.concat([sizedString(exportName), uint16(infos.length), ...infos.map(uint16)]);
}

export function metaData(exportName: string, queries: readonly string[]): Buffer {
  return Buffer.concat([sizedString(exportName), uint32(queries.length), ...queries.map(sizedString)]);
}

/** A reply to an option, by the names of its numbers. */
export interface Reply {
  readonly option: number;
  readonly type: string;
  readonly data: Buffer;
}

/** Throws unless the bytes are whole replies and nothing else. */
export function parseReplies(bytes: Buffer): readonly Reply[] {
  const replies: Reply[] = [];
  for (let at = 0; at < bytes.length;) {
    if (bytes.readBigUInt64BE(at) !== HANDSHAKE_MAGIC.OPTION_REPLY) throw new Error('This is no reply.');
    const type = bytes.readUInt32BE(at + 12);
    const end = at + 20 + bytes.readUInt32BE(at + 16);
    if (end > bytes.length) throw new Error('This reply is cut off.');
    replies.push({
      option: bytes.readUInt32BE(at + 8),
      type: Object.entries(NBD_REP).find(([, number]) => number === type)?.[0] ?? `unknown ${type}`,
      data: bytes.subarray(at + 20, end),
    });
    at = end;
  }
  return replies;
}

/** A negotiation past the greeting and the client's flags, with what follows upon each of its effects. */
export class ScratchTalk {
  readonly negotiation: Negotiation;

  constructor(settings: { tls?: TlsMode; limits?: Partial<HandshakeLimits>; clientFlags?: number } = {}) {
    const { tls = 'off', limits = {}, clientFlags = 3 } = settings;
    this.negotiation = new Negotiation({ tls, limits: { ...DEFAULT_HANDSHAKE_LIMITS, ...limits } });
    this.negotiation.start();
    this.negotiation.receive(uint32(clientFlags));
  }

  /** Sends bytes; every export but EXPORT_NAME is unknown. */
  say(...bytes: readonly Buffer[]): { output: Buffer; effect: Effect } {
    return this.#finish(this.negotiation.receive(Buffer.concat(bytes)));
  }

  /** The types of the replies to these options, in order. */
  types(...options: readonly Buffer[]): readonly string[] {
    return parseReplies(this.say(...options).output).map(({ type }) => type);
  }

  /** What these options come to agree upon. */
  agree(...options: readonly Buffer[]): Agreement {
    const { effect } = this.say(...options);
    if (effect.kind !== 'transmit') throw new Error(`It came to ${JSON.stringify(effect)}.`);
    return effect.agreement;
  }

  #finish(first: Step): Step {
    const output = [first.output];
    let step = first;
    while (step.effect.kind === 'resolve') {
      step = this.negotiation.answerExport(step.effect.exportName === EXPORT_NAME ? OFFER : null);
      output.push(step.output);
    }
    return { output: Buffer.concat(output), effect: step.effect };
  }
}
