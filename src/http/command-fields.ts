import { usage } from './error-table.ts';
import { parseJsonFields } from './json-fields.ts';
import { parseTextFields } from './text-fields.ts';
import { decodeUtf8 } from './utf8.ts';

/** A value as it was sent: text always sends strings, JSON also numbers, truth values and arrays of strings. */
export type FieldValue = string | number | boolean | readonly string[];

/** What a body says, key by key, each of them once. A Map, so that no key is special. */
export type CommandFields = ReadonlyMap<string, FieldValue>;

/**
 * Reads the body of a command. Only `application/json` is JSON, with or without parameters; any other
 * Content-Type, or none, is KEY VALUE text, because clients send the very same text under many types.
 *
 * @throws DriveError usage
 */
export function parseCommandFields(body: Uint8Array, contentType: string | undefined): CommandFields {
  if (body.length === 0) return new Map();
  const text = decodeUtf8(body);
  if (text === null) throw usage('The body is not valid UTF-8.');
  return isJsonType(contentType) ? parseJsonFields(text) : parseTextFields(text);
}

/** Whether a Content-Type header says JSON. */
export function isJsonType(contentType: string | undefined): boolean {
  return contentType?.split(';')[0]?.trim().toLowerCase() === 'application/json';
}
