import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import type { DriveError } from '../core/errors.ts';
import { isSizeText, parseSizeBytes } from '../core/sizes.ts';
import { isUuid } from '../core/uuid.ts';
import type { FieldValue } from './command-fields.ts';
import { quoted, usage } from './error-table.ts';

/** One key that a command takes: how the documents describe it, and how its value is read. */
export interface InputField<Value> {
  readonly schema: TSchema;
  /** @throws DriveError usage */
  readonly parse: (key: string, value: FieldValue) => Value;
}

/**
 * A size in bytes, with or without a suffix.
 *
 * @param maxBytes is told when one is larger than numbers are; whoever takes the size checks it
 */
export function sizeField(description: string, maxBytes = Number.MAX_SAFE_INTEGER): InputField<number> {
  const schema = Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: '^[0-9]+[kKmMgGtT]?$' })], {
    description,
  });
  return { schema, parse: (key, value) => parseSize(key, value, maxBytes) };
}

/** A size that may be given empty, which is null. */
export function optionalSizeField(description: string): InputField<number | null> {
  const { schema } = sizeField(description);
  return { schema, parse: (key, value) => (value === '' ? null : parseSize(key, value)) };
}

function parseSize(key: string, value: FieldValue, maxBytes = Number.MAX_SAFE_INTEGER): number {
  refuseList(key, value);
  const isNumber = typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
  const sizeBytes = isNumber ? value : typeof value === 'string' ? parseSizeBytes(value) : null;
  if (sizeBytes !== null) return sizeBytes;
  throw wrongSize(key, String(value), maxBytes);
}

/** What is wrong with a text of which `parseSizeBytes` makes nothing. */
export function wrongSize(name: string, text: string, maxBytes = Number.MAX_SAFE_INTEGER): DriveError {
  if (isSizeText(text)) return tooLarge(name, text, maxBytes);
  return usage(
    `The ${name} "${quoted(text)}" is not a size: digits, then nothing or one of k, M, G and T, below 2^53.`,
  );
}

function tooLarge(name: string, text: string, max: number): DriveError {
  return usage(`The ${name} "${quoted(text)}" is too large: the largest is ${max}.`);
}

/** A whole number; null when given empty. */
export function countField(description: string): InputField<number | null> {
  const schema = Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: '^[0-9]*$' })], {
    description,
  });
  return { schema, parse: (key, value) => (value === '' ? null : parseCount(key, value)) };
}

function parseCount(key: string, value: FieldValue, max = Number.MAX_SAFE_INTEGER): number {
  refuseList(key, value);
  const isDigits = /^[0-9]+$/.test(String(value));
  const count = typeof value === 'number' || isDigits ? Number(value) : -1;
  if (Number.isSafeInteger(count) && count >= 0) return count;
  if (isDigits) throw tooLarge(key, String(value), max);
  throw usage(`The ${key} "${quoted(String(value))}" is not a whole number.`);
}

/** A whole number within bounds. */
export function numberField({ min, max }: NumberLimit, description: string): InputField<number> {
  const schema = Type.Union(
    [Type.Integer({ minimum: min, maximum: max }), Type.String({ pattern: '^[0-9]+$' })],
    {
      description,
    },
  );
  const parse = (key: string, value: FieldValue): number => {
    const count = parseCount(key, value, max);
    if (count >= min && count <= max) return count;
    throw usage(`The ${key} ${count} is not from ${min} to ${max}.`);
  };
  return { schema, parse };
}

export interface NumberLimit {
  readonly min: number;
  readonly max: number;
}

/** One of a few words. */
export function choiceField<Choice extends string>(
  choices: readonly Choice[],
  description: string,
): InputField<Choice> {
  const schema = Type.Union(
    choices.map((choice) => Type.Literal(choice)),
    { description },
  );
  const parse = (key: string, value: FieldValue): Choice => {
    refuseList(key, value);
    const choice = choices.find((candidate) => candidate === value);
    if (choice !== undefined) return choice;
    throw usage(`The ${key} "${quoted(String(value))}" is not one of ${choices.join(', ')}.`);
  };
  return { schema, parse };
}

/** `true` or `false`, in JSON also without quotes. */
export function flagField(description: string): InputField<boolean> {
  const choice = choiceField(['true', 'false'], description);
  const schema = Type.Union([Type.Literal('true'), Type.Literal('false'), Type.Boolean()], { description });
  const parse = (key: string, value: FieldValue): boolean => {
    refuseList(key, value);
    return choice.parse(key, String(value)) === 'true';
  };
  return { schema, parse };
}

/** A list of one looks like the one in a sentence that says what is wrong with it. */
function refuseList(key: string, value: FieldValue): void {
  if (typeof value === 'object')
    throw usage(`The value of ${quoted(key)} is a list; the key takes one value.`);
}

/** Text of a limited length, without control characters other than tab and newline. */
export function textField(maxBytes: number, description: string): InputField<string> {
  return { schema: Type.String({ description }), parse: (key, value) => parseText(key, value, maxBytes) };
}

/** @throws DriveError usage when the value is no string, too long, or holds control characters */
export function parseText(key: string, value: FieldValue, maxBytes: number): string {
  if (typeof value !== 'string') throw usage(`The value of ${quoted(key)} is not a string.`);
  const lengthBytes = Buffer.byteLength(value);
  if (lengthBytes > maxBytes) {
    throw usage(`The value of ${quoted(key)} is ${lengthBytes} bytes long; the limit is ${maxBytes}.`);
  }
  if (hasControlCharacters(value)) {
    throw usage(`The value of ${quoted(key)} has a control character other than tab and newline in it.`);
  }
  return value;
}

/** Whether there are any but tab and newline, also of those beyond ASCII, which some terminals obey as well. */
export function hasControlCharacters(text: string): boolean {
  return /(?![\t\n])\p{Cc}/u.test(text);
}

/** Words with spaces between them; in JSON also an array. */
export function wordsField(limit: ListLimit, description: string): InputField<readonly string[]> {
  return { schema: listSchema(description), parse: (key, value) => parseWords(key, value, limit) };
}

/** One UUID in lower case. */
export function uuidField(description: string): InputField<string> {
  const parse = (key: string, value: FieldValue): string => {
    refuseList(key, value);
    if (typeof value === 'string' && isUuid(value)) return value;
    throw usage(`The ${key} "${quoted(String(value))}" is not a UUID in lower case.`);
  };
  return { schema: Type.String({ description }), parse };
}

/** UUIDs in lower case with spaces between them; in JSON also an array. */
export function uuidsField(maxItems: number, description: string): InputField<readonly string[]> {
  const limit = { maxItems, maxItemBytes: 255 };
  const parse = (key: string, value: FieldValue): readonly string[] => {
    const words = parseWords(key, value, limit);
    const wrong = words.find((word) => !isUuid(word));
    if (wrong === undefined) return words;
    throw usage(`"${quoted(wrong)}" in ${key} is not a UUID in lower case.`);
  };
  return { schema: listSchema(description), parse };
}

/** How many items a list may have, and how long one of them may be. */
export interface ListLimit {
  readonly maxItems: number;
  readonly maxItemBytes: number;
}

function listSchema(description: string): TSchema {
  return Type.Union([Type.String(), Type.Array(Type.String())], { description });
}

function parseWords(
  key: string,
  value: FieldValue,
  { maxItems, maxItemBytes }: ListLimit,
): readonly string[] {
  if (typeof value === 'number' || typeof value === 'boolean') {
    throw usage(`The value of ${key} is neither a string nor an array of strings.`);
  }
  const words = typeof value === 'string' ? value.split(/\s+/).filter((word) => word !== '') : value;
  if (words.length > maxItems) throw usage(`${key} has ${words.length} items; the limit is ${maxItems}.`);
  for (const word of words) {
    if (word === '' || /\s/.test(word)) throw usage(`"${quoted(word)}" in ${key} is not one word.`);
    parseText(key, word, maxItemBytes);
  }
  return words;
}
