import { gunzipSync } from 'node:zlib';

/** From `start` up to, not including, `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** What a drive may hold: known bytes, and ranges that may hold anything. */
export interface Content {
  readonly bytes: Buffer;
  readonly unknown: readonly Range[];
  /** The drive holds these bytes packed, and zeros after the stream. */
  readonly isPacked: boolean;
  readonly sizeBytes: number;
}

export function plainContent(bytes: Buffer, unknown: readonly Range[] = []): Content {
  return { bytes, unknown, isPacked: false, sizeBytes: bytes.length };
}

export function zeros(sizeBytes: number): Content {
  return plainContent(Buffer.alloc(sizeBytes));
}

/** The new part of a drive that grew reads as zeros. */
export function resized(content: Content, sizeBytes: number): Content {
  const bytes = Buffer.alloc(sizeBytes);
  content.bytes.copy(bytes);
  const unknown = content.unknown
    .map(({ start, end }) => ({ start, end: Math.min(end, sizeBytes) }))
    .filter(({ start, end }) => start < end);
  return plainContent(bytes, unknown);
}

export function packed(source: Content, sizeBytes: number): Content {
  return { bytes: Buffer.from(source.bytes), unknown: source.unknown, isPacked: true, sizeBytes };
}

export function withUnknown(content: Content, range: Range): Content {
  const end = Math.min(range.end, content.bytes.length);
  if (range.start >= end) return content;
  return { ...content, unknown: [...content.unknown, { start: range.start, end }] };
}

export function withBytes(content: Content, offset: number, data: Buffer): Content {
  data.copy(content.bytes, offset);
  const end = offset + data.length;
  const unknown = content.unknown.flatMap((range) =>
    [
      { start: range.start, end: Math.min(range.end, offset) },
      { start: Math.max(range.start, end), end: range.end },
    ].filter((part) => part.start < part.end),
  );
  return { ...content, unknown };
}

export function overlap(one: Range, other: Range): boolean {
  return one.start < other.end && other.start < one.end;
}

/** Null when the drive's bytes are as expected, otherwise what is wrong. */
export function difference(expected: Content, actual: Buffer): string | null {
  if (actual.length !== expected.sizeBytes) return `${actual.length} bytes instead of ${expected.sizeBytes}`;
  if (!expected.isPacked) return plainDifference(expected, actual);
  try {
    const { buffer, engine } = gunzipSync(actual, { info: true }) as unknown as {
      readonly buffer: Buffer;
      readonly engine: { readonly bytesWritten: number };
    };
    const rest = actual.subarray(engine.bytesWritten);
    if (!rest.equals(Buffer.alloc(rest.length))) return 'bytes after the gzip stream';
    return buffer.length === expected.bytes.length
      ? plainDifference(expected, buffer)
      : `a stream of ${buffer.length} bytes instead of ${expected.bytes.length}`;
  } catch (error) {
    return `not a gzip stream: ${String(error)}`;
  }
}

function plainDifference({ bytes, unknown }: Content, actual: Buffer): string | null {
  const expected = Buffer.from(bytes);
  for (const { start, end } of unknown) actual.copy(expected, start, start, end);
  if (expected.equals(actual)) return null;
  const first = expected.findIndex((byte, at) => byte !== actual[at]);
  const last = expected.findLastIndex((byte, at) => byte !== actual[at]);
  const zero = actual.subarray(first, last + 1).every((byte) => byte === 0);
  return `bytes ${first} to ${last} differ${zero ? ' (they read as zeros)' : ''}`;
}
