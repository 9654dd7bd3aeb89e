import { describe, expect, test } from 'vitest';
import { EXPORT_NAME, infoData, metaData, OFFER, option, ScratchTalk } from './scratch-client.ts';

const GO = option('GO', infoData(EXPORT_NAME));
const EXTENDED = option('EXTENDED_HEADERS');
const STRUCTURED = option('STRUCTURED_REPLY');
const SELECT = option('SET_META_CONTEXT', metaData(EXPORT_NAME, ['base:allocation']));

describe('TLS', () => {
  test('is refused where there is none', () => {
    expect(new ScratchTalk().types(option('STARTTLS'), option('LIST'))).toEqual(['ERR_POLICY', 'ACK']);
  });

  test('required, everything but STARTTLS and ABORT is refused until it is on', () => {
    const talk = new ScratchTalk({ tls: 'required' });
    const options = [option('LIST'), GO, option('INFO'), STRUCTURED, EXTENDED, SELECT, option(77)];
    expect(talk.types(...options)).toEqual(options.map(() => 'ERR_TLS_REQD'));
    expect(talk.say(option('STARTTLS')).effect).toEqual({ kind: 'start-tls' });
    talk.negotiation.tlsStarted();
    expect(talk.types(option('LIST'))).toEqual(['ACK']);
    expect(talk.agree(GO)).toMatchObject({ isTls: true });
  });

  test('required, EXPORT_NAME before it cuts the connection and ABORT is acknowledged', () => {
    const named = option('EXPORT_NAME', Buffer.from(EXPORT_NAME));
    const cut = new ScratchTalk({ tls: 'required' }).say(named);
    expect(cut).toEqual({ output: Buffer.alloc(0), effect: { kind: 'close', reason: 'tls-required' } });
    expect(new ScratchTalk({ tls: 'required' }).types(option('ABORT'))).toEqual(['ACK']);
  });

  test('starts anew: what was agreed before is forgotten, and it cannot be started twice', () => {
    const talk = new ScratchTalk({ tls: 'offered' });
    talk.say(EXTENDED, SELECT, option('STARTTLS'));
    talk.negotiation.tlsStarted();
    expect(talk.types(option('STARTTLS'))).toEqual(['ERR_INVALID']);
    expect(talk.types(SELECT)).toEqual(['ERR_INVALID']);
    const agreed = { structuredReplies: false, extendedHeaders: false, baseAllocationId: null, isTls: true };
    expect(talk.agree(GO)).toMatchObject(agreed);
  });

  test('bytes that come with STARTTLS cut the connection: they may be from somebody else', () => {
    const { output, effect } = new ScratchTalk({ tls: 'offered' }).say(option('STARTTLS'), GO);
    expect(effect).toEqual({ kind: 'close', reason: 'bytes-before-tls' });
    expect(output).toEqual(Buffer.alloc(0));
  });
});

describe('limits', () => {
  const TIGHT = { limits: { optionBytes: 100, options: 5, handshakeBytes: 2_000 } };

  test('data of an option beyond its limit are skipped and answered ERR_TOO_BIG', () => {
    const talk = new ScratchTalk(TIGHT);
    expect(talk.types(option('GO', Buffer.alloc(101)), option('LIST'))).toEqual(['ERR_TOO_BIG', 'ACK']);
    expect(talk.types(option('GO', Buffer.alloc(100)))).toEqual(['ERR_INVALID']);
    // It has no error replies.
    const { effect } = new ScratchTalk(TIGHT).say(option('EXPORT_NAME', Buffer.alloc(101, 'a')));
    expect(effect).toEqual({ kind: 'close', reason: 'bad-export-name' });
  });

  test('data beyond the limit of the handshake cut the connection before they are read', () => {
    const used = 4 + 16;
    const fits = new ScratchTalk(TIGHT).say(option('GO', Buffer.alloc(0), 2_000 - used));
    expect(fits.effect).toEqual({ kind: 'read' });
    const over = new ScratchTalk(TIGHT).say(option('GO', Buffer.alloc(0), 2_001 - used));
    expect(over.effect).toEqual({ kind: 'close', reason: 'too-much-data' });
    for (const other of [99, 'EXPORT_NAME'] as const) {
      const { effect } = new ScratchTalk(TIGHT).say(option(other, Buffer.alloc(0), 2_001 - used));
      expect(effect).toEqual({ kind: 'close', reason: 'too-much-data' });
    }
  });

  test('one option too many cuts the connection', () => {
    const talk = new ScratchTalk(TIGHT);
    for (let count = 0; count < 5; count += 1) expect(talk.types(option('LIST'))).toEqual(['ACK']);
    expect(talk.say(option('LIST')).effect).toEqual({ kind: 'close', reason: 'too-many-options' });
  });
});

describe('a server that stops', () => {
  test('refuses every option but ABORT', () => {
    const talk = new ScratchTalk({ tls: 'offered' });
    talk.negotiation.stop();
    const options = [GO, option('LIST'), option('STARTTLS'), option(99)];
    expect(talk.types(...options)).toEqual(options.map(() => 'ERR_SHUTDOWN'));
    expect(talk.types(option('ABORT'))).toEqual(['ACK']);
  });

  test('cuts EXPORT_NAME', () => {
    const talk = new ScratchTalk();
    talk.negotiation.stop();
    const { effect } = talk.say(option('EXPORT_NAME', Buffer.from(EXPORT_NAME)));
    expect(effect).toEqual({ kind: 'close', reason: 'stopping' });
  });

  test.each([
    ['GO', infoData(EXPORT_NAME), { kind: 'read' }],
    ['EXPORT_NAME', Buffer.from(EXPORT_NAME), { kind: 'close', reason: 'stopping' }],
  ] as const)('lets nobody in whose export was being looked for by %s', (name, data, effect) => {
    const { negotiation } = new ScratchTalk();
    negotiation.receive(option(name, data));
    negotiation.stop();
    expect(negotiation.answerExport(OFFER).effect).toEqual(effect);
  });
});
