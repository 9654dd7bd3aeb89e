import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DriveError } from '../core/errors.ts';
import { parseBasicAuth } from './basic-auth.ts';
import { parseCommandFields } from './command-fields.ts';
import { parseContentDigest, wantedDigest } from './content-digest.ts';
import { parseJsonFields } from './json-fields.ts';
import { infoAsJson, infoAsText } from './rendering.ts';
import { parseTextFields } from './text-fields.ts';

const key = fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => !/[ \r\n]/.test(text));
// A value that holds a backslash before an n, or ends in CR, is the ambiguity that the documents tell of.
const value = fc
  .string({ minLength: 1, unit: 'grapheme' })
  .filter((text) => !text.includes('\\n') && !text.endsWith('\r') && !text.includes('\r\n'));

/** The code of what it throws, `none` when it throws nothing. */
function codeOf(run: () => unknown): unknown {
  try {
    run();
    return 'none';
  } catch (error) {
    return error instanceof DriveError ? error.code : error;
  }
}

describe('the text format', () => {
  test('what is rendered is read back the same', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(key, value), { selector: ([name]) => name }), (pairs) => {
        const text = infoAsText(Object.fromEntries(pairs));
        expect(parseTextFields(text)).toEqual(new Map(Object.entries(Object.fromEntries(pairs))));
      }),
    );
  });

  test('a value with a newline in it stays on one line', () => {
    expect(infoAsText({ name: 'a\nb\n' })).toBe('name a\\nb\\n\n');
    expect(parseTextFields('name a\\nb').get('name')).toBe('a\nb');
  });

  test('the key ends at the first space and the rest of the line is the value, exactly', () => {
    expect([...parseTextFields('user:a  two  spaces ')]).toEqual([['user:a', ' two  spaces ']]);
  });

  test('a line that begins with a space is refused', () => {
    expect(() => parseTextFields(' size 1')).toThrow('begins with a space');
  });
});

describe('the JSON format', () => {
  test('what is rendered is read back the same', () => {
    fc.assert(
      fc.property(fc.dictionary(key, value), (info) => {
        const fields = parseJsonFields(infoAsJson({ ...info, size: 7 }));
        expect(fields).toEqual(new Map<string, unknown>(Object.entries({ ...info, size: 7 })));
      }),
    );
  });

  test('a duplicate key is found wherever it is, and one inside of a value is none', () => {
    fc.assert(
      fc.property(key, fc.string(), (name, text) => {
        const pair = `${JSON.stringify(name)}: ${JSON.stringify(text)}`;
        expect(() => parseJsonFields(`{${pair}, "other key": ["x"], ${pair}}`)).toThrow('more than once');
      }),
    );
    expect(parseJsonFields('{"a": "\\"a\\": {", "b": ["a", "b", "a"]}').size).toBe(2);
  });
});

describe('parsers', () => {
  test('any bytes with any Content-Type are fields or a usage error', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.constantFrom('application/json', 'text/plain'), (bytes, type) => {
        expect(codeOf(() => parseCommandFields(bytes, type))).toBeOneOf(['none', 'usage']);
      }),
    );
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(codeOf(() => parseCommandFields(Buffer.from(json), 'application/json'))).toBeOneOf([
          'none',
          'usage',
        ]);
      }),
    );
  });

  test('any headers are understood or refused', () => {
    fc.assert(
      fc.property(fc.string(), (header) => {
        parseBasicAuth(`Basic ${header}`);
        wantedDigest(header);
        expect(codeOf(() => parseContentDigest(header))).toBeOneOf(['none', 'usage']);
      }),
    );
  });
});
