import * as fc from 'fast-check';
import { EXPORT_NAME, infoData, option, sizedString, uint32 } from '../../src/nbd/scratch-client.ts';

// What a client of NBD may send before the transmission: sense, nonsense, and sense with something wrong in it.

const exportName: fc.Arbitrary<Buffer> = fc.oneof(
  { arbitrary: fc.constant(Buffer.from(EXPORT_NAME)), weight: 4 },
  fc
    .constantFrom('', 'other', `${EXPORT_NAME}\0`, 'a'.repeat(4096), 'a'.repeat(4097))
    .map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
);

const infos = fc.array(fc.oneof(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 65_535 })), {
  maxLength: 8,
});

const queries = fc.array(fc.oneof(fc.constantFrom('base:', 'base:allocation', 'x-other:', ''), fc.string()), {
  maxLength: 4,
});

const anyData = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));

const goodOption: fc.Arbitrary<Buffer> = fc.oneof(
  fc.constantFrom('LIST', 'STRUCTURED_REPLY', 'EXTENDED_HEADERS', 'STARTTLS').map((name) => option(name)),
  fc
    .tuple(fc.constantFrom('INFO', 'INFO', 'INFO', 'GO'), exportName, infos)
    .map(([name, wanted, list]) => option(name, infoData(wanted, list))),
  fc
    .tuple(fc.constantFrom('LIST_META_CONTEXT', 'SET_META_CONTEXT'), exportName, queries)
    .map(([name, wanted, list]) =>
      option(name, Buffer.concat([sizedString(wanted), uint32(list.length), ...list.map(sizedString)])),
    ),
  exportName.map((name) => option('EXPORT_NAME', name)),
  anyData.map((data) => option('ABORT', data)),
);

const oddOption: fc.Arbitrary<Buffer> = fc
  .tuple(fc.integer({ min: 0, max: 15 }), anyData, fc.option(fc.integer({ min: 0, max: 2 ** 32 - 1 })))
  .map(([number, data, dataBytes]) => option(number, data, dataBytes ?? data.length));

const clientFlags = fc.oneof(
  { arbitrary: fc.constant(3), weight: 10 },
  fc.constantFrom(0, 1, 2, 4, 2 ** 32 - 1),
);

const sense: fc.Arbitrary<Buffer> = fc
  .tuple(
    clientFlags,
    fc.array(fc.oneof({ arbitrary: goodOption, weight: 6 }, oddOption), { maxLength: 14 }),
    fc.boolean(),
  )
  .map(([flags, options, isEnded]) =>
    Buffer.concat([
      uint32(flags),
      ...options,
      isEnded ? option('GO', infoData(EXPORT_NAME)) : Buffer.alloc(0),
    ]),
  );

/** One change somewhere in the bytes. */
type Change = readonly [kind: 'flip' | 'cut' | 'insert' | 'repeat', at: number, value: number];

const changes: fc.Arbitrary<readonly Change[]> = fc.array(
  fc.tuple(
    fc.constantFrom('flip', 'cut', 'insert', 'repeat'),
    fc.nat({ max: 2 ** 20 }),
    fc.integer({ min: 1, max: 255 }),
  ),
  { maxLength: 3 },
);

function changed(bytes: Buffer, [kind, anywhere, value]: Change): Buffer {
  const at = anywhere % (bytes.length + 1);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (kind) {
    case 'flip': {
      const copy = Buffer.from(bytes);
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ value;
      return copy;
    }
    case 'cut':
      return Buffer.concat([before, after.subarray(value)]);
    case 'insert':
      return Buffer.concat([before, Buffer.alloc(value, value), after]);
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, value), after]);
  }
}

/** All that a client sends. */
export const clientBytes: fc.Arbitrary<Buffer> = fc.oneof(
  { arbitrary: sense, weight: 3 },
  { arbitrary: fc.tuple(sense, changes).map(([bytes, list]) => list.reduce(changed, bytes)), weight: 5 },
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
);

/** The sizes of the pieces that the bytes come in, over and over. */
export const pieceSizes: fc.Arbitrary<readonly number[]> = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 10_000 })),
  { minLength: 1, maxLength: 6 },
);

export function inPieces(bytes: Buffer, sizes: readonly number[]): readonly Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, index = 0; at < bytes.length; index += 1) {
    const end = at + (sizes[index % sizes.length] ?? bytes.length);
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}
