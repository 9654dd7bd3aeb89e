import { describe, expect, test } from 'vitest';
import {
  EXPORT_NAME,
  infoData,
  metaData,
  option,
  parseReplies,
  ScratchTalk,
  sizedString,
  uint32,
} from './scratch-client.ts';

const GO = option('GO', infoData(EXPORT_NAME));
const STRUCTURED = option('STRUCTURED_REPLY');
const SELECT = option('SET_META_CONTEXT', metaData(EXPORT_NAME, ['base:allocation']));

describe('metadata contexts', () => {
  const list = (...queries: string[]): Buffer => option('LIST_META_CONTEXT', metaData(EXPORT_NAME, queries));
  const select = (...queries: string[]): Buffer => option('SET_META_CONTEXT', metaData(EXPORT_NAME, queries));
  const found = (id: number): Buffer => Buffer.concat([uint32(id), Buffer.from('base:allocation')]);

  test('need structured replies first', () => {
    expect(new ScratchTalk().types(list(), select('base:allocation'))).toEqual([
      'ERR_INVALID',
      'ERR_INVALID',
    ]);
  });

  test.each([
    ['no query', []],
    ['the whole name', ['base:allocation']],
    ['the namespace', ['base:']],
    ['both, and others', ['x-other:', 'base:allocation', 'base:', 'qemu:dirty-bitmap']],
  ])('LIST finds base:allocation once by %s', (_, queries) => {
    const replies = parseReplies(new ScratchTalk().say(STRUCTURED, list(...queries)).output).slice(1);
    expect(replies.map(({ type }) => type)).toEqual(['META_CONTEXT', 'ACK']);
    expect(replies[0]?.data).toEqual(found(0));
  });

  test.each([['base:other'], ['base'], [''], ['base:allocation '], ['x-base:allocation']])(
    'LIST finds nothing by %j',
    (query) => expect(new ScratchTalk().types(STRUCTURED, list(query))).toEqual(['ACK', 'ACK']),
  );

  test('SET selects by the whole name only', () => {
    const talk = new ScratchTalk();
    const chosen = parseReplies(talk.say(STRUCTURED, select('base:', 'base:allocation')).output).slice(1);
    expect(chosen.map(({ type }) => type)).toEqual(['META_CONTEXT', 'ACK']);
    expect(chosen[0]?.data).toEqual(found(1));
    expect(talk.types(select('base:'))).toEqual(['ACK']);
    expect(talk.types(select())).toEqual(['ACK']);
  });

  test.each([
    ['selects nothing', select()],
    ['selects for another export', option('SET_META_CONTEXT', metaData('other', ['base:allocation']))],
    ['is malformed', option('SET_META_CONTEXT', Buffer.alloc(3))],
    ['is too big', option('SET_META_CONTEXT', Buffer.alloc(20_000))],
  ])('a later SET that %s undoes the one before', (_, later) => {
    const talk = new ScratchTalk();
    expect(talk.agree(STRUCTURED, SELECT, later, GO)).toMatchObject({ baseAllocationId: null });
  });

  test('a LIST leaves the selection as it is', () => {
    const agreement = new ScratchTalk().agree(STRUCTURED, SELECT, list('x-other:'), GO);
    expect(agreement).toMatchObject({ baseAllocationId: 1 });
  });

  test.each([
    [
      'fewer queries than it says',
      Buffer.concat([sizedString('x'), uint32(2 ** 32 - 1), sizedString('base:')]),
    ],
    ['more than it says', Buffer.concat([metaData('x', []), Buffer.from('a')])],
    [
      'a query that is cut off',
      Buffer.concat([sizedString('x'), uint32(1), uint32(9), Buffer.from('base:')]),
    ],
  ])('with %s are invalid', (_, data) => {
    const talk = new ScratchTalk();
    talk.say(STRUCTURED);
    const types = talk.types(option('SET_META_CONTEXT', data), option('LIST_META_CONTEXT', data));
    expect(types).toEqual(['ERR_INVALID', 'ERR_INVALID']);
  });
});
