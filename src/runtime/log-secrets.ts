/** Names of fields that hold secrets. They are never logged, whoever passes them and however deep. */
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  'adminKey',
  'authorization',
  'cookie',
  'key',
  'keyHash',
  'masterKey',
  'passphrase',
  'password',
  'secret',
  'volumeKey',
]);
const CENSORED = '[secret]';
/** Objects in objects that are looked at; what is deeper is not logged. */
const MAX_DEPTH = 8;

/**
 * The value with `[secret]` in the place of what fields of such names hold; itself when there are none. An error is a value
 * like any other here: whoever logs it makes an object of it before.
 */
export function withoutSecrets(value: unknown, depth = MAX_DEPTH): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if (depth === 0) return CENSORED;
  let copy: Record<string, unknown> | null = null;
  for (const [name, held] of Object.entries(value)) {
    const shown = SECRET_FIELDS.has(name) ? CENSORED : withoutSecrets(held, depth - 1);
    if (shown === held) continue;
    copy ??= (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
    copy[name] = shown;
  }
  return copy ?? value;
}
