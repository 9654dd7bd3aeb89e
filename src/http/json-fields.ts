import type { FieldValue } from './command-fields.ts';
import { quoted, usage } from './error-table.ts';

/**
 * Reads a JSON body: one flat object whose values are strings, numbers, truth values or arrays of strings.
 *
 * @throws DriveError usage
 */
export function parseJsonFields(text: string): Map<string, FieldValue> {
  if (text.trim() === '') return new Map();
  const parsed = parseJson(text);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw usage('The JSON body is not an object.');
  }
  const twice = firstDuplicate(topLevelKeys(text));
  if (twice !== null) throw usage(`The key ${quoted(twice)} is given more than once.`);
  return new Map(Object.entries(parsed).map(([key, value]) => [key, fieldValue(key, value)]));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw usage('The body is not valid JSON.');
  }
}

function fieldValue(key: string, value: unknown): FieldValue {
  if (!key.isWellFormed()) throw usage('A key of the JSON body is not valid Unicode.');
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (isText(value) || (Array.isArray(value) && value.every(isText))) {
    if ([value].flat().every((text) => text.isWellFormed())) return value;
    throw usage(`The value of ${quoted(key)} is not valid Unicode.`);
  }
  const allowed = 'a string, a number or an array of strings';
  throw usage(`The value of ${quoted(key)} is not ${allowed}.`);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

/** The keys of the outermost object of valid JSON, each as often as it is there: JSON.parse keeps only the last. */
function topLevelKeys(json: string): string[] {
  const keys: string[] = [];
  let depth = 0;
  let lastString = '';
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:]/g)) {
    if (token === '{' || token === '[') depth += 1;
    else if (token === '}' || token === ']') depth -= 1;
    else if (token !== ':') lastString = token;
    else if (depth === 1) keys.push(String(JSON.parse(lastString)));
  }
  return keys;
}

function firstDuplicate(keys: readonly string[]): string | null {
  const seen = new Set<string>();
  for (const key of keys) {
    if (seen.has(key)) return key;
    seen.add(key);
  }
  return null;
}
