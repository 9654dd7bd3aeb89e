import { describe, expect, test } from 'vitest';
import { transmissionFlags } from './export-offer.ts';
import { Negotiation } from './negotiation.ts';
import { DEFAULT_HANDSHAKE_LIMITS } from './limits.ts';
import { NBD_FLAG, NBD_INFO } from './protocol-numbers.ts';
import {
  EXPORT_NAME,
  infoData,
  metaData,
  OFFER,
  option,
  parseReplies,
  ScratchTalk,
  sizedString,
  uint16,
  uint32,
} from './scratch-client.ts';

const GO = option('GO', infoData(EXPORT_NAME));
const STRUCTURED = option('STRUCTURED_REPLY');
const EXTENDED = option('EXTENDED_HEADERS');
const SELECT = option('SET_META_CONTEXT', metaData(EXPORT_NAME, ['base:allocation']));
const MAGIC = Buffer.from('IHAVEOPT');

describe('the beginning', () => {
  test('the server greets with both magics and both flags', () => {
    const negotiation = new Negotiation({ tls: 'off', limits: DEFAULT_HANDSHAKE_LIMITS });
    const { output, effect } = negotiation.start();
    expect(output).toEqual(Buffer.from('NBDMAGICIHAVEOPT\0\x03', 'latin1'));
    expect(effect).toEqual({ kind: 'read' });
  });

  test('client flags that nobody offered cut the connection', () => {
    const negotiation = new Negotiation({ tls: 'off', limits: DEFAULT_HANDSHAKE_LIMITS });
    expect(negotiation.receive(uint32(7)).effect).toEqual({ kind: 'close', reason: 'unknown-client-flags' });
  });

  test('a client that is not fixed newstyle may only say EXPORT_NAME', () => {
    for (const first of ['LIST', 'GO', 'ABORT'] as const) {
      const talk = new ScratchTalk({ clientFlags: 0 });
      expect(talk.say(option(first))).toEqual({
        output: Buffer.alloc(0),
        effect: { kind: 'close', reason: 'not-fixed-newstyle' },
      });
    }
    const talk = new ScratchTalk({ clientFlags: 0 });
    expect(talk.say(option('EXPORT_NAME', Buffer.from(EXPORT_NAME))).effect.kind).toBe('transmit');
  });

  test('an option without its magic cuts the connection', () => {
    const wrong = Buffer.from(STRUCTURED);
    wrong[3] = 0;
    expect(new ScratchTalk().say(wrong).effect).toEqual({ kind: 'close', reason: 'wrong-magic' });
  });
});

describe('EXPORT_NAME', () => {
  const named = option('EXPORT_NAME', Buffer.from(EXPORT_NAME));

  test('is answered with size and flags, and 124 zeros unless the client does without', () => {
    const flags = transmissionFlags(OFFER, false);
    const facts = Buffer.concat([uint32(1), uint32(OFFER.sizeBytes - 2 ** 32), uint16(flags)]);
    expect(new ScratchTalk({ clientFlags: 3 }).say(named).output).toEqual(facts);
    const padded = Buffer.concat([facts, Buffer.alloc(124)]);
    expect(new ScratchTalk({ clientFlags: 1 }).say(named).output).toEqual(padded);
  });

  test('of an unknown export cuts the connection without a word', () => {
    const talk = new ScratchTalk();
    expect(talk.say(option('EXPORT_NAME', Buffer.from('other')))).toEqual({
      output: Buffer.alloc(0),
      effect: { kind: 'close', reason: 'unknown-export' },
    });
  });

  test.each([
    ['longer than 4096 bytes', Buffer.alloc(4097, 'a')],
    ['with a NUL', Buffer.from('a\0b')],
    ['that is not UTF-8', Buffer.from([0xc3, 0x28])],
  ])('with a name %s cuts the connection', (_, name) => {
    const { effect } = new ScratchTalk().say(option('EXPORT_NAME', name));
    expect(effect).toEqual({ kind: 'close', reason: 'bad-export-name' });
  });

  test('is no way into a transmission with extended headers', () => {
    const { effect } = new ScratchTalk().say(EXTENDED, named);
    expect(effect).toEqual({ kind: 'close', reason: 'go-required' });
  });
});

test('ABORT is acknowledged and ends the handshake, whatever it carries', () => {
  for (const abort of [option('ABORT'), option('ABORT', Buffer.alloc(0), 2 ** 32 - 1)]) {
    const { output, effect } = new ScratchTalk().say(abort);
    expect(parseReplies(output).map(({ type }) => type)).toEqual(['ACK']);
    expect(effect).toEqual({ kind: 'close', reason: 'aborted' });
  }
});

test('LIST lists nothing', () => {
  expect(new ScratchTalk().types(option('LIST'))).toEqual(['ACK']);
});

test.each(['LIST', 'STARTTLS', 'STRUCTURED_REPLY', 'EXTENDED_HEADERS'] as const)(
  '%s with data is invalid, and what comes after it is still understood',
  (name) => {
    const talk = new ScratchTalk({ tls: 'offered' });
    expect(talk.types(option(name, Buffer.alloc(100)), option('LIST'))).toEqual(['ERR_INVALID', 'ACK']);
  },
);

test.each([0, 4, 12, 2 ** 32 - 1])('option %i is not known, and its data are skipped', (number) => {
  const talk = new ScratchTalk();
  const options = [option(number, Buffer.alloc(50_000)), option('LIST')];
  const replies = parseReplies(talk.say(...options).output);
  expect(replies.map(({ type }) => type)).toEqual(['ERR_UNSUP', 'ACK']);
  expect(replies[0]?.option).toBe(number);
});

describe('INFO and GO', () => {
  const ALL = [NBD_INFO.EXPORT, NBD_INFO.NAME, NBD_INFO.DESCRIPTION, NBD_INFO.BLOCK_SIZE];

  test('tell what was asked for, and always size and flags', () => {
    const { output, effect } = new ScratchTalk().say(option('INFO', infoData(EXPORT_NAME, ALL)));
    const replies = parseReplies(output);
    const facts = [uint32(1), uint32(OFFER.sizeBytes - 2 ** 32), uint16(transmissionFlags(OFFER, false))];
    expect(replies.map(({ type }) => type)).toEqual(['INFO', 'INFO', 'INFO', 'INFO', 'ACK']);
    expect(replies.map(({ data }) => data)).toEqual([
      Buffer.concat([uint16(0), ...facts]),
      Buffer.concat([uint16(1), Buffer.from(EXPORT_NAME)]),
      Buffer.concat([uint16(2), Buffer.from('drive web-1')]),
      Buffer.concat([uint16(3), uint32(1), uint32(4096), uint32(32 * 1024 * 1024)]),
      Buffer.alloc(0),
    ]);
    expect(effect).toEqual({ kind: 'read' });
  });

  test('tell nothing twice, and nothing about what they do not know', () => {
    const talk = new ScratchTalk();
    expect(talk.types(option('INFO', infoData(EXPORT_NAME)))).toEqual(['INFO', 'ACK']);
    const odd = option('INFO', infoData(EXPORT_NAME, [1, 1, 0, 0, 4, 65_535]));
    expect(talk.types(odd)).toEqual(['INFO', 'INFO', 'ACK']);
  });

  test('GO begins the transmission with what was agreed upon, and gives on what came after it', () => {
    const leftover = Buffer.from('request');
    expect(new ScratchTalk().agree(GO, leftover)).toEqual({
      exportName: EXPORT_NAME,
      offer: OFFER,
      structuredReplies: false,
      extendedHeaders: false,
      baseAllocationId: null,
      isTls: false,
      leftover,
    });
    expect(new ScratchTalk().agree(STRUCTURED, SELECT, GO)).toMatchObject({
      structuredReplies: true,
      extendedHeaders: false,
      baseAllocationId: 1,
    });
  });

  test.each(['INFO', 'GO'] as const)(
    '%s of an unknown export is ERR_UNKNOWN, and the talk goes on',
    (name) => {
      const talk = new ScratchTalk();
      const wrong = [Buffer.from('other'), Buffer.from(''), Buffer.from(`${EXPORT_NAME} `)];
      const replies = parseReplies(talk.say(...wrong.map((text) => option(name, infoData(text)))).output);
      expect(replies.map(({ type }) => type)).toEqual(['ERR_UNKNOWN', 'ERR_UNKNOWN', 'ERR_UNKNOWN']);
      expect(new Set(replies.map(({ data }) => data.toString())).size).toBe(1);
      expect(talk.say(GO).effect.kind).toBe('transmit');
    },
  );

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['a name that is longer than the data', Buffer.concat([uint32(100), Buffer.from('a')])],
    ['a name of 4 GiB', Buffer.concat([uint32(2 ** 32 - 1), Buffer.from('abcdef')])],
    ['no count', sizedString(EXPORT_NAME)],
    ['fewer infos than it says', Buffer.concat([sizedString(EXPORT_NAME), uint16(2), uint16(0)])],
    ['more infos than it says', Buffer.concat([sizedString(EXPORT_NAME), uint16(0), uint16(0)])],
    ['a name with a NUL', infoData('a\0')],
    ['a name that is not UTF-8', infoData(Buffer.from([0xff]))],
  ])('with %s are invalid', (_, data) => {
    expect(new ScratchTalk().types(option('GO', data), option('INFO', data))).toEqual([
      'ERR_INVALID',
      'ERR_INVALID',
    ]);
  });

  test('with a name longer than 4096 bytes are too big, with 4096 they are not', () => {
    const talk = new ScratchTalk();
    expect(talk.types(option('GO', infoData('a'.repeat(4097))))).toEqual(['ERR_TOO_BIG']);
    expect(talk.types(option('GO', infoData('a'.repeat(4096))))).toEqual(['ERR_UNKNOWN']);
  });

  test('a byte order mark is part of the name', () => {
    expect(new ScratchTalk().types(option('GO', infoData(`\ufeff${EXPORT_NAME}`)))).toEqual(['ERR_UNKNOWN']);
  });
});

describe('transmission flags', () => {
  const flags = (offer: Partial<typeof OFFER>, structured: boolean): number =>
    transmissionFlags({ ...OFFER, ...offer }, structured);

  test('say what every export can do', () => {
    expect(flags({}, false).toString(2)).toBe('110101101101');
  });

  test('DF belongs to structured replies, READ_ONLY and CAN_MULTI_CONN to the export', () => {
    expect(flags({}, true) ^ flags({}, false)).toBe(NBD_FLAG.SEND_DF);
    expect(flags({ isReadOnly: true }, false) ^ flags({}, false)).toBe(NBD_FLAG.READ_ONLY);
    expect(flags({ canMultiConn: false }, false) ^ flags({}, false)).toBe(NBD_FLAG.CAN_MULTI_CONN);
  });

  test('GO shows DF when structured replies were agreed upon', () => {
    const [info] = parseReplies(new ScratchTalk().say(STRUCTURED, GO).output).slice(1);
    expect(info?.data.readUInt16BE(10)).toBe(flags({}, true));
  });
});

describe('structured replies and extended headers', () => {
  test('either may be agreed upon again', () => {
    expect(new ScratchTalk().types(STRUCTURED, STRUCTURED, EXTENDED, EXTENDED)).toEqual([
      'ACK',
      'ACK',
      'ACK',
      'ACK',
    ]);
  });

  test('extended headers imply structured replies', () => {
    const agreed = { structuredReplies: true, extendedHeaders: true, baseAllocationId: 1 };
    expect(new ScratchTalk().agree(EXTENDED, SELECT, GO)).toMatchObject(agreed);
  });

  test('structured replies alone are refused once headers are extended', () => {
    const talk = new ScratchTalk();
    expect(talk.types(EXTENDED, STRUCTURED)).toEqual(['ACK', 'ERR_EXT_HEADER_REQD']);
    expect(talk.agree(GO)).toMatchObject({ extendedHeaders: true });
  });
});

test('it makes no difference in what pieces the bytes come', () => {
  const bytes = Buffer.concat([STRUCTURED, option(99, MAGIC), SELECT, option('INFO', infoData('x')), GO]);
  const whole = new ScratchTalk().say(bytes);
  const talk = new ScratchTalk();
  const steps = [...bytes].map((byte) => talk.say(Buffer.from([byte])));
  expect(Buffer.concat(steps.map(({ output }) => output))).toEqual(whole.output);
  expect(steps.at(-1)?.effect).toEqual(whole.effect);
});
