import { expect } from 'vitest';
import { HANDSHAKE_MAGIC, NBD_INFO, NBD_OPT } from '../../src/nbd/protocol-numbers.ts';
import { EXPORT_NAME, OFFER, parseReplies } from '../../src/nbd/scratch-client.ts';

/** An option as its header alone shows it; its data may be cut off. */
export interface SentOption {
  readonly number: number;
  readonly data: Buffer;
}

export function optionsIn(bytes: Buffer): readonly SentOption[] {
  const options: SentOption[] = [];
  for (let at = 4; at + 16 <= bytes.length;) {
    if (bytes.readBigUInt64BE(at) !== HANDSHAKE_MAGIC.IHAVEOPT) break;
    const end = at + 16 + bytes.readUInt32BE(at + 12);
    options.push({ number: bytes.readUInt32BE(at + 8), data: bytes.subarray(at + 16, end) });
    at = end;
  }
  return options;
}

/**
 * Each option gets its replies, in order, the last of them an acknowledgement or an error, and none gets any other.
 * EXPORT_NAME gets size and flags of the export, and is the last.
 */
export function expectOnlyAnswers(output: Buffer, options: readonly SentOption[]): void {
  let at = 0;
  for (let index = 0; at < output.length;) {
    const { number, data: asked } = options[index] ?? { number: -1, data: Buffer.alloc(0) };
    if (number === NBD_OPT.EXPORT_NAME) {
      expect(asked.toString()).toBe(EXPORT_NAME);
      expect(output.readBigUInt64BE(at)).toBe(BigInt(OFFER.sizeBytes));
      expect([10, 134]).toContain(output.length - at);
      return;
    }
    const end = at + 20 + output.readUInt32BE(at + 16);
    const reply = parseReplies(output.subarray(at, end))[0];
    expect(reply?.option).toBe(number);
    if (reply?.type === 'INFO') expectAskedFor(reply.data.readUInt16BE(0), asked);
    else if (reply?.type === 'META_CONTEXT') {
      expect([NBD_OPT.LIST_META_CONTEXT, NBD_OPT.SET_META_CONTEXT]).toContain(number);
      expect(reply.data.subarray(4).toString()).toBe('base:allocation');
    } else index += 1;
    at = end;
  }
}

function expectAskedFor(info: number, data: Buffer): void {
  const nameBytes = data.readUInt32BE(0);
  expect(data.subarray(4, 4 + nameBytes).toString()).toBe(EXPORT_NAME);
  if (info === NBD_INFO.EXPORT) return;
  const asked = Array.from({ length: data.readUInt16BE(4 + nameBytes) }, (_, index) =>
    data.readUInt16BE(6 + nameBytes + 2 * index),
  );
  expect(asked).toContain(info);
}
