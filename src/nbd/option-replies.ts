import type { ExportOffer } from './export-offer.ts';
import { transmissionFlags } from './export-offer.ts';
import { HANDSHAKE_MAGIC, NBD_HANDSHAKE_FLAG, NBD_INFO, NBD_REP } from './protocol-numbers.ts';

/** Reserved bytes at the end of the answer to EXPORT_NAME, unless the client does without. */
const EXPORT_NAME_PADDING_BYTES = 124;

/** What the server says first. */
export function greeting(): Buffer {
  const bytes = Buffer.alloc(18);
  bytes.writeBigUInt64BE(HANDSHAKE_MAGIC.NBDMAGIC, 0);
  bytes.writeBigUInt64BE(HANDSHAKE_MAGIC.IHAVEOPT, 8);
  bytes.writeUInt16BE(NBD_HANDSHAKE_FLAG.FIXED_NEWSTYLE | NBD_HANDSHAKE_FLAG.NO_ZEROES, 16);
  return bytes;
}

/** One reply to an option; `option` is the number as the client sent it. */
export function optionReply(
  option: number,
  type: keyof typeof NBD_REP,
  data: Buffer = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(20);
  header.writeBigUInt64BE(HANDSHAKE_MAGIC.OPTION_REPLY, 0);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(NBD_REP[type], 12);
  header.writeUInt32BE(data.length, 16);
  return Buffer.concat([header, data]);
}

/** The answer to EXPORT_NAME, which is no reply like the others. */
export function exportNameAnswer(
  offer: ExportOffer,
  { structuredReplies, noZeroes }: { structuredReplies: boolean; noZeroes: boolean },
): Buffer {
  return Buffer.concat([
    exportFacts(offer, structuredReplies),
    Buffer.alloc(noZeroes ? 0 : EXPORT_NAME_PADDING_BYTES),
  ]);
}

/** The data of the NBD_REP_INFO replies: EXPORT always, of the others those that were asked for. */
export function exportInfos(
  offer: ExportOffer,
  request: { exportName: string; infos: ReadonlySet<number>; structuredReplies: boolean },
): readonly Buffer[] {
  const all: readonly (readonly [number, Buffer])[] = [
    [NBD_INFO.NAME, Buffer.from(request.exportName)],
    [NBD_INFO.DESCRIPTION, Buffer.from(offer.description)],
    [NBD_INFO.BLOCK_SIZE, blockSizes(offer)],
  ];
  const wanted = all.filter(([info]) => request.infos.has(info));
  return [[NBD_INFO.EXPORT, exportFacts(offer, request.structuredReplies)] as const, ...wanted].map(
    ([info, data]) => Buffer.concat([uint16(info), data]),
  );
}

/** The data of a NBD_REP_META_CONTEXT reply. */
export function metaContext(id: number, name: string): Buffer {
  return Buffer.concat([uint32(id), Buffer.from(name)]);
}

function exportFacts(offer: ExportOffer, structuredReplies: boolean): Buffer {
  const bytes = Buffer.alloc(10);
  bytes.writeBigUInt64BE(BigInt(offer.sizeBytes), 0);
  bytes.writeUInt16BE(transmissionFlags(offer, structuredReplies), 8);
  return bytes;
}

function blockSizes(offer: ExportOffer): Buffer {
  return Buffer.concat(
    [offer.minimumBlockBytes, offer.preferredBlockBytes, offer.maximumBlockBytes].map(uint32),
  );
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
