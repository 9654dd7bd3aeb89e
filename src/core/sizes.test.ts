import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSizeText, parseSizeBytes, roundDown, roundUp } from './sizes.ts';

describe('parseSizeBytes', () => {
  test.each([
    ['0', 0],
    ['1', 1],
    ['4096', 4096],
    ['1k', 1024],
    ['1K', 1024],
    ['3M', 3 * 1024 ** 2],
    ['2g', 2 * 1024 ** 3],
    ['8T', 8 * 1024 ** 4],
    ['007', 7],
    ['9007199254740991', 9_007_199_254_740_991],
  ])('%s is a size', (text, sizeBytes) => expect(parseSizeBytes(text)).toBe(sizeBytes));

  test.each([
    [
      '',
      ' ',
      '1 ',
      ' 1',
      '1.5G',
      '-1',
      '+1',
      '0x10',
      '1e9',
      '1kB',
      '1KiB',
      'k',
      '1 k',
      '1P',
      '١',
      '1\n',
      '1_000',
    ],
    ['9007199254740992', '8192T', '99999999999999999999'],
  ])('nothing else is a size, nor what is beyond 2^53 - 1', (...texts) => {
    expect(texts.filter((text) => parseSizeBytes(text) !== null)).toEqual([]);
  });

  test('what is beyond 2^53 - 1 has the form of a size all the same, and leading zeros make nothing larger', () => {
    expect(['9007199254740992', '8192T', '9'.repeat(400), '1'].every(isSizeText)).toBe(true);
    expect(['', '1.5G', '-1', '1P', '1e9'].some(isSizeText)).toBe(false);
    expect(parseSizeBytes('0'.repeat(40) + '1k')).toBe(1024);
  });

  test('a number with a suffix is that many times the power of 1024', () => {
    const unit = fc.constantFrom('', 'k', 'M', 'G', 'T');
    fc.assert(
      fc.property(fc.nat(8191), unit, (count, suffix) => {
        const expected = count * 1024 ** ['', 'k', 'M', 'G', 'T'].indexOf(suffix);
        expect(parseSizeBytes(`${count}${suffix}`)).toBe(expected);
      }),
    );
  });
});

test('rounding gives the nearest multiples around a value', () => {
  const unit = fc.constantFrom(512, 4096, 1024 * 1024);
  fc.assert(
    fc.property(fc.nat(2 ** 50), unit, (value, size) => {
      const [down, up] = [roundDown(value, size), roundUp(value, size)];
      expect([down % size, up % size]).toEqual([0, 0]);
      expect(down <= value && value <= up && up - down <= size).toBe(true);
      expect(down === up).toBe(value % size === 0);
    }),
  );
});
