import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import type { CommandFields, FieldValue } from './command-fields.ts';
import { quoted, usage } from './error-table.ts';
import type { InputField } from './input-fields.ts';
import { parseText } from './input-fields.ts';
import { INPUT_LIMITS } from './limits.ts';

type Fields = Readonly<Record<string, InputField<unknown>>>;

/** The keys that a command takes: the documents and the parsing both come from this. */
export interface InputSpec<Known extends Fields = Fields> {
  readonly fields: Known;
  readonly required: readonly string[];
  /** Whether `user:` keys are taken. */
  readonly hasAttributes: boolean;
  /** Keys that exist, but not here, and why. */
  readonly refused: Readonly<Record<string, string>>;
}

/** What a body said, by key; a key that was not given is absent. */
export type ParsedInput<Known extends Fields> = {
  readonly [Key in keyof Known]?: Known[Key] extends InputField<infer Value> ? Value : never;
};

const ATTRIBUTE_PREFIX = 'user:';

/**
 * Reads the fields of a body against what the command takes.
 *
 * @throws DriveError usage, naming the key
 */
export function parseInput<Known extends Fields>(
  spec: InputSpec<Known>,
  fields: CommandFields,
): { input: ParsedInput<Known>; attributes: Readonly<Record<string, string>> } {
  const parsed: [string, unknown][] = [];
  const attributes: [string, string][] = [];
  for (const [key, value] of fields) {
    const field = Object.hasOwn(spec.fields, key) ? spec.fields[key] : undefined;
    if (field !== undefined) parsed.push([key, field.parse(key, value)]);
    else if (spec.hasAttributes && key.startsWith(ATTRIBUTE_PREFIX))
      attributes.push(parseAttribute(key, value));
    else throw unknownKey(spec, key);
  }
  const absent = spec.required.find((key) => !fields.has(key));
  if (absent !== undefined) throw usage(`The key ${absent} is required.`);
  if (attributes.length > INPUT_LIMITS.attributes) {
    throw usage(`There are ${attributes.length} user: keys; the limit is ${INPUT_LIMITS.attributes}.`);
  }
  // fromEntries defines own properties, so that a key such as __proto__ is a key like any other.
  return {
    input: Object.fromEntries(parsed) as ParsedInput<Known>,
    attributes: Object.fromEntries(attributes),
  };
}

function parseAttribute(key: string, value: FieldValue): [string, string] {
  const name = key.slice(ATTRIBUTE_PREFIX.length);
  const limitBytes = INPUT_LIMITS.attributeKeyBytes;
  if (name === '' || /\s/.test(name)) throw usage(`The key "${quoted(key)}" is not user: and one word.`);
  if (Buffer.byteLength(name) > limitBytes) {
    throw usage(
      `The key ${quoted(key)} is ${Buffer.byteLength(name)} bytes long; the limit is ${limitBytes}.`,
    );
  }
  parseText(key, name, limitBytes);
  return [name, parseText(key, value, INPUT_LIMITS.attributeValueBytes)];
}

function unknownKey(spec: InputSpec, key: string): Error {
  const why = Object.hasOwn(spec.refused, key) ? spec.refused[key] : undefined;
  if (why !== undefined) return usage(`The key ${key} cannot be given here: ${why}.`);
  const known = [...Object.keys(spec.fields), ...(spec.hasAttributes ? ['user:*'] : [])];
  const help = known.length === 0 ? 'this command takes none' : `the known ones are ${known.join(', ')}`;
  return usage(`The key ${quoted(key)} is not known: ${help}.`);
}

/** The body as the documents describe it. */
export function inputSchema(spec: InputSpec): TSchema {
  const properties = Object.entries(spec.fields).map(([key, field]): [string, TSchema] => [
    key,
    spec.required.includes(key) ? field.schema : Type.Optional(field.schema),
  ]);
  const pairs = spec.hasAttributes ? { patternProperties: { '^user:.+$': Type.String() } } : {};
  return Type.Object(Object.fromEntries(properties), { additionalProperties: false, ...pairs });
}
