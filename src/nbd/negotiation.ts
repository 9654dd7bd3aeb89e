import type { ExportOffer } from './export-offer.ts';
import type { HandshakeLimits } from './limits.ts';
import type { InfoRequest, MetaRequest } from './option-data.ts';
import { OptionDataError, parseInfoRequest, parseMetaRequest, parseString } from './option-data.ts';
import { OptionReader } from './option-reader.ts';
import { exportInfos, exportNameAnswer, greeting, metaContext, optionReply } from './option-replies.ts';
import type { CutReason, Refusal, TlsMode } from './option-rules.ts';
import { cutReason, parseOptionHeader, refusalOf } from './option-rules.ts';
import { BASE_ALLOCATION, NBD_HANDSHAKE_FLAG, NBD_OPT, type NBD_REP } from './protocol-numbers.ts';

/** What the two sides have agreed upon when transmission begins. */
export interface Agreement {
  readonly exportName: string;
  readonly offer: ExportOffer;
  /** Also true when headers are extended. */
  readonly structuredReplies: boolean;
  readonly extendedHeaders: boolean;
  /** The id of the metadata context `base:allocation`; null when it was not asked for, for this export. */
  readonly baseAllocationId: number | null;
  readonly isTls: boolean;
  /** Bytes that came after the last option. */
  readonly leftover: Buffer;
}

export type CloseReason = CutReason | 'aborted' | 'unknown-export';

/** What is to be done once the output has been sent; exactly one thing. */
export type Effect =
  /** Give what the client sends next to `receive`. */
  | { readonly kind: 'read' }
  /** Find the export and give it to `answerExport`. */
  | { readonly kind: 'resolve'; readonly exportName: string }
  /** Put TLS on the connection and call `tlsStarted`. */
  | { readonly kind: 'start-tls' }
  | { readonly kind: 'transmit'; readonly agreement: Agreement }
  | { readonly kind: 'close'; readonly reason: CloseReason };

export interface Step {
  readonly output: Buffer;
  readonly effect: Effect;
}

const CLIENT_FLAGS_BYTES = 4;
const OPTION_HEADER_BYTES = 16;
/** There is but one context, so any number does. */
const BASE_ALLOCATION_ID = 1;
const READ: Effect = { kind: 'read' };

type Awaited =
  | { readonly field: 'client-flags' }
  | { readonly field: 'header' }
  | { readonly field: 'data'; readonly option: number }
  | { readonly field: 'export'; readonly option: number; readonly request: InfoRequest }
  | { readonly field: 'tls' }
  | { readonly field: 'nothing' };

/**
 * The server's side of a fixed newstyle handshake, without I/O: bytes in, bytes and one effect out. Whatever bytes come,
 * it does not throw and holds no more than `optionBytes` and the piece that was given last.
 */
export class Negotiation {
  readonly #tls: TlsMode;
  readonly #limits: HandshakeLimits;
  readonly #reader = new OptionReader(CLIENT_FLAGS_BYTES);
  #awaited: Awaited = { field: 'client-flags' };
  #output: Buffer[] = [];
  #optionCount = 0;
  #isFixedNewstyle = false;
  #noZeroes = false;
  #isTls = false;
  #isStopping = false;
  #structuredReplies = false;
  #extendedHeaders = false;
  /** The export that `base:allocation` was selected for. */
  #contextExportName: string | null = null;

  constructor(options: { tls: TlsMode; limits: HandshakeLimits }) {
    this.#tls = options.tls;
    this.#limits = options.limits;
  }

  start(): Step {
    return { output: greeting(), effect: READ };
  }

  /** From now on every option but ABORT is refused. */
  stop(): void {
    this.#isStopping = true;
  }

  /** After the effect `read`: what the client has sent, in whatever pieces. */
  receive(bytes: Buffer): Step {
    this.#reader.push(bytes);
    return this.#proceed();
  }

  /** After the effect `resolve`: the export; null when there is none of this name for this client. */
  answerExport(offer: ExportOffer | null): Step {
    const awaited = this.#awaited;
    if (awaited.field !== 'export') throw new Error('No export is waited for.');
    const effect = this.#answerExport(awaited, offer);
    return effect === null ? this.#proceed() : this.#step(effect);
  }

  /** After the effect `start-tls`. What was agreed before it is forgotten: it may have been tampered with. */
  tlsStarted(): Step {
    if (this.#awaited.field !== 'tls') throw new Error('No TLS is waited for.');
    this.#isTls = true;
    this.#structuredReplies = false;
    this.#extendedHeaders = false;
    this.#contextExportName = null;
    this.#awaitHeader();
    return this.#proceed();
  }

  #proceed(): Step {
    for (;;) {
      const field = this.#reader.take();
      if (field === null) return this.#step(READ);
      const effect = this.#useField(field);
      if (effect !== null) return this.#step(effect);
    }
  }

  #step(effect: Effect): Step {
    if (effect.kind === 'close' || effect.kind === 'transmit') this.#awaited = { field: 'nothing' };
    const output = Buffer.concat(this.#output);
    this.#output = [];
    return { output, effect };
  }

  #useField(field: Buffer): Effect | null {
    const awaited = this.#awaited;
    switch (awaited.field) {
      case 'client-flags':
        return this.#useClientFlags(field.readUInt32BE(0));
      case 'header':
        return this.#useHeader(field);
      case 'data':
        return this.#useData(awaited.option, field);
      case 'export':
      case 'tls':
      case 'nothing':
        throw new Error(`Bytes came while waiting for ${awaited.field}.`);
    }
  }

  #useClientFlags(flags: number): Effect | null {
    this.#isFixedNewstyle = (flags & NBD_HANDSHAKE_FLAG.FIXED_NEWSTYLE) !== 0;
    this.#noZeroes = (flags & NBD_HANDSHAKE_FLAG.NO_ZEROES) !== 0;
    const known = NBD_HANDSHAKE_FLAG.FIXED_NEWSTYLE | NBD_HANDSHAKE_FLAG.NO_ZEROES;
    if ((flags & ~known) !== 0) return { kind: 'close', reason: 'unknown-client-flags' };
    this.#awaitHeader();
    return null;
  }

  #awaitHeader(skipBytes = 0): void {
    this.#awaited = { field: 'header' };
    this.#reader.want(OPTION_HEADER_BYTES, skipBytes);
  }

  #useHeader(field: Buffer): Effect | null {
    const header = parseOptionHeader(field);
    this.#optionCount += 1;
    const standing = {
      limits: this.#limits,
      tls: this.#tls,
      isTls: this.#isTls,
      isFixedNewstyle: this.#isFixedNewstyle,
      extendedHeaders: this.#extendedHeaders,
      isStopping: this.#isStopping,
      optionCount: this.#optionCount,
      usedBytes: this.#reader.usedBytes,
    };
    const reason = cutReason(header, standing);
    if (reason !== null) return { kind: 'close', reason };
    if (header.option === NBD_OPT.ABORT) return this.#abort();
    // The contexts selected before are gone even when this selection fails.
    if (header.option === NBD_OPT.SET_META_CONTEXT) this.#contextExportName = null;
    const refusal = refusalOf(header, standing);
    if (refusal === null) {
      this.#awaited = { field: 'data', option: header.option };
      this.#reader.want(header.dataBytes);
    } else {
      this.#refuse(header.option, refusal);
      this.#awaitHeader(header.dataBytes);
    }
    return null;
  }

  #abort(): Effect {
    this.#reply(NBD_OPT.ABORT, 'ACK');
    return { kind: 'close', reason: 'aborted' };
  }

  #useData(option: number, data: Buffer): Effect | null {
    try {
      const effect = this.#useOption(option, data);
      if (effect === null) this.#awaitHeader();
      return effect;
    } catch (error) {
      if (!(error instanceof OptionDataError)) throw error;
      if (option === NBD_OPT.EXPORT_NAME) return { kind: 'close', reason: 'bad-export-name' };
      this.#refuse(option, { reply: error.reply, sentence: error.message });
      this.#awaitHeader();
      return null;
    }
  }

  /** Throws OptionDataError. */
  #useOption(option: number, data: Buffer): Effect | null {
    switch (option) {
      case NBD_OPT.EXPORT_NAME:
        return this.#resolve(option, { exportName: parseString(data), infos: new Set() });
      case NBD_OPT.INFO:
      case NBD_OPT.GO:
        return this.#resolve(option, parseInfoRequest(data));
      case NBD_OPT.STARTTLS:
        return this.#startTls();
      case NBD_OPT.LIST_META_CONTEXT:
      case NBD_OPT.SET_META_CONTEXT:
        return this.#answerMeta(option, parseMetaRequest(data));
      case NBD_OPT.STRUCTURED_REPLY:
        return this.#agreeOnStructuredReplies();
      case NBD_OPT.EXTENDED_HEADERS:
        this.#structuredReplies = true;
        this.#extendedHeaders = true;
        return this.#reply(option, 'ACK');
      case NBD_OPT.LIST:
        // An export's name is a secret, so none is listed.
        return this.#reply(option, 'ACK');
      default:
        throw new Error(`Option ${option} is not served.`);
    }
  }

  #resolve(option: number, request: InfoRequest): Effect {
    this.#awaited = { field: 'export', option, request };
    return { kind: 'resolve', exportName: request.exportName };
  }

  #answerExport(
    { option, request }: { option: number; request: InfoRequest },
    offer: ExportOffer | null,
  ): Effect | null {
    this.#awaitHeader();
    if (option === NBD_OPT.EXPORT_NAME) return this.#answerExportName(request.exportName, offer);
    if (this.#isStopping)
      return this.#refuse(option, { reply: 'ERR_SHUTDOWN', sentence: 'The server is stopping.' });
    if (offer === null)
      return this.#refuse(option, { reply: 'ERR_UNKNOWN', sentence: 'There is no such export.' });
    const structuredReplies = this.#structuredReplies;
    for (const info of exportInfos(offer, { ...request, structuredReplies }))
      this.#reply(option, 'INFO', info);
    this.#reply(option, 'ACK');
    return option === NBD_OPT.GO ? this.#transmit(request.exportName, offer) : null;
  }

  #answerExportName(exportName: string, offer: ExportOffer | null): Effect {
    if (this.#isStopping) return { kind: 'close', reason: 'stopping' };
    if (offer === null) return { kind: 'close', reason: 'unknown-export' };
    this.#output.push(
      exportNameAnswer(offer, { structuredReplies: this.#structuredReplies, noZeroes: this.#noZeroes }),
    );
    return this.#transmit(exportName, offer);
  }

  #transmit(exportName: string, offer: ExportOffer): Effect {
    const agreement: Agreement = {
      exportName,
      offer,
      structuredReplies: this.#structuredReplies,
      extendedHeaders: this.#extendedHeaders,
      baseAllocationId: this.#contextExportName === exportName ? BASE_ALLOCATION_ID : null,
      isTls: this.#isTls,
      leftover: this.#reader.rest(),
    };
    return { kind: 'transmit', agreement };
  }

  #startTls(): Effect | null {
    if (this.#isTls)
      return this.#refuse(NBD_OPT.STARTTLS, { reply: 'ERR_INVALID', sentence: 'TLS is on already.' });
    if (this.#tls === 'off')
      return this.#refuse(NBD_OPT.STARTTLS, { reply: 'ERR_POLICY', sentence: 'TLS is not set up here.' });
    // Somebody between the two sides could have slipped in what would then pass for the client's own words.
    if (this.#reader.rest().length > 0) return { kind: 'close', reason: 'bytes-before-tls' };
    this.#awaited = { field: 'tls' };
    this.#reply(NBD_OPT.STARTTLS, 'ACK');
    return { kind: 'start-tls' };
  }

  #agreeOnStructuredReplies(): null {
    if (this.#extendedHeaders)
      return this.#refuse(NBD_OPT.STRUCTURED_REPLY, {
        reply: 'ERR_EXT_HEADER_REQD',
        sentence: 'Extended headers are agreed upon already.',
      });
    this.#structuredReplies = true;
    return this.#reply(NBD_OPT.STRUCTURED_REPLY, 'ACK');
  }

  #answerMeta(option: number, { exportName, queries }: MetaRequest): null {
    if (!this.#structuredReplies)
      return this.#refuse(option, { reply: 'ERR_INVALID', sentence: 'Structured replies come first.' });
    const isList = option === NBD_OPT.LIST_META_CONTEXT;
    const isWanted = queries.some((query) => query === BASE_ALLOCATION || (isList && query === 'base:'));
    if (isWanted || (isList && queries.length === 0)) {
      // In a list the id means nothing and is zero.
      this.#reply(option, 'META_CONTEXT', metaContext(isList ? 0 : BASE_ALLOCATION_ID, BASE_ALLOCATION));
      if (!isList) this.#contextExportName = exportName;
    }
    return this.#reply(option, 'ACK');
  }

  #refuse(option: number, { reply, sentence }: Refusal): null {
    return this.#reply(option, reply, Buffer.from(sentence));
  }

  #reply(option: number, type: keyof typeof NBD_REP, data?: Buffer): null {
    this.#output.push(optionReply(option, type, data));
    return null;
  }
}
