import { expect, test } from 'vitest';
import { NBD_CMD, NBD_CMD_FLAG, NBD_ERROR } from '../protocol-numbers.ts';
import { checkRequest } from './request-check.ts';
import type { RequestRules } from './request-check.ts';
import { Request } from './request.ts';

const RULES: RequestRules = {
  sizeBytes: 2 ** 40,
  isReadOnly: false,
  isExtended: false,
  hasStructuredReplies: true,
  hasContext: true,
};
const SIMPLE = { ...RULES, hasStructuredReplies: false, hasContext: false };
const EXTENDED = { ...RULES, isExtended: true };
const READ_ONLY = { ...RULES, isReadOnly: true };
const { FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO, PAYLOAD_LEN } = NBD_CMD_FLAG;
type Name = keyof typeof NBD_CMD;
const ALL = Object.keys(NBD_CMD) as Name[];

function check(name: Name | number, rules = RULES, fields: Partial<Request> = {}): string {
  const command = typeof name === 'number' ? name : NBD_CMD[name];
  const error = checkRequest(Object.assign(new Request(), { command, lengthBytes: 1, ...fields }), rules);
  return Object.entries(NBD_ERROR).find(([, number]) => number === error)?.[0] ?? 'ok';
}

/** The commands that this check lets pass. */
function passing(rules: RequestRules, fields: Partial<Request>): Name[] {
  return ALL.filter((name) => check(name, rules, fields) === 'ok');
}

test('each command takes its own flags and no others', () => {
  expect(passing(RULES, { flags: 0 })).toEqual(ALL);
  expect(passing(RULES, { flags: FUA })).toEqual(ALL);
  expect(passing(RULES, { flags: DF })).toEqual(['READ']);
  expect(passing(SIMPLE, { flags: DF })).toEqual([]);
  expect(passing(RULES, { flags: NO_HOLE })).toEqual(['WRITE_ZEROES']);
  expect(passing(RULES, { flags: FAST_ZERO })).toEqual(['WRITE_ZEROES']);
  expect(passing(RULES, { flags: REQ_ONE })).toEqual(['BLOCK_STATUS']);
  expect(passing(RULES, { flags: PAYLOAD_LEN })).toEqual([]);
  expect(passing(RULES, { flags: 1 << 6 })).toEqual([]);
  expect(passing(EXTENDED, { flags: PAYLOAD_LEN })).toEqual(['WRITE']);
  expect(check('WRITE', EXTENDED)).toBe('EINVAL');
});

test('commands that there are not are refused', () => {
  for (const command of [8, 9, 255, 65535]) expect(check(command)).toBe('EINVAL');
});

test('a read-only claim may do what changes nothing', () => {
  const changing = ALL.filter((name) => check(name, READ_ONLY) === 'EPERM');
  expect(changing).toEqual(['WRITE', 'TRIM', 'WRITE_ZEROES']);
  expect(passing(READ_ONLY, {})).toEqual(['READ', 'DISC', 'FLUSH', 'CACHE', 'BLOCK_STATUS']);
});

test('a length of zero is for commands without a range', () => {
  expect(passing(RULES, { lengthBytes: 0 })).toEqual(['DISC', 'FLUSH']);
});

test('the last byte is within the drive and the next one is not', () => {
  const last = { offsetBytes: 2 ** 40 - 1 };
  expect(passing(RULES, last)).toEqual(ALL);
  for (const past of [{ ...last, lengthBytes: 2 }, { offsetBytes: 2 ** 40 }, { offsetBytes: 2 ** 64 }]) {
    expect(ALL.map((name) => `${name} ${check(name, RULES, past)}`)).toEqual([
      'READ EINVAL',
      'WRITE ENOSPC',
      'DISC ok',
      'FLUSH ok',
      'TRIM EINVAL',
      'CACHE EINVAL',
      'WRITE_ZEROES ENOSPC',
      'BLOCK_STATUS EINVAL',
    ]);
  }
});

test('32 MiB are read at a time, and block status needs its context', () => {
  const most = { lengthBytes: 32 * 2 ** 20 };
  const more = { lengthBytes: most.lengthBytes + 1 };
  expect(check('READ', RULES, most)).toBe('ok');
  expect(check('READ', RULES, more)).toBe('EINVAL');
  expect(check('READ', RULES, { ...more, flags: DF })).toBe('EOVERFLOW');
  expect(check('TRIM', RULES, more)).toBe('ok');
  expect(check('BLOCK_STATUS', SIMPLE)).toBe('EINVAL');
});
