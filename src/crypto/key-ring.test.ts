import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  formatKeyRing,
  parseKeyRing,
  unwrapSecret,
  withNewKey,
  withoutOldKeys,
  wrapSecret,
} from './key-ring.ts';
import { commandKeyRing, fileKeyRing, textKeyRing } from './key-ring-source.ts';

const hexKey = (): string => randomBytes(32).toString('hex');
const mayNotMake = async (): Promise<boolean> => false;
const mayMake = async (): Promise<boolean> => true;

describe('a key ring', () => {
  test('has its first key as the current one, and names keys by their hash', () => {
    const [first, second] = [hexKey(), hexKey()];
    const ring = parseKeyRing(`# a comment\n\n${first}\n  ${second.toUpperCase()}\n`);
    const id = createHash('sha256').update(Buffer.from(first, 'hex')).digest('hex').slice(0, 16);
    expect(ring.current.id).toBe(id);
    expect(ring.all.map(({ key }) => Buffer.from(key).toString('hex'))).toEqual([first, second]);
  });

  test('is read as it was written', () => {
    const ring = withNewKey(withNewKey(null));
    const read = parseKeyRing(formatKeyRing(ring));
    expect(read.all.map(({ id }) => id)).toEqual(ring.all.map(({ id }) => id));
  });

  test('that is empty or not hex is refused without showing a key', () => {
    expect(() => parseKeyRing('# nothing\n')).toThrow('no master key');
    const secret = `${hexKey().slice(1)}g`;
    const parse = (): unknown => parseKeyRing(`${hexKey()}\n${secret}`);
    expect(parse).toThrow('Master key 2 is not 64 hex digits.');
    expect(parse).not.toThrow(secret);
  });

  test('rotates by a new key in front, and then by forgetting the older ones', () => {
    const old = withNewKey(null);
    const both = withNewKey(old);
    expect(both.all.map(({ id }) => id)).toEqual([both.current.id, old.current.id]);
    expect(withoutOldKeys(both)).toEqual({ current: both.current, all: [both.current] });
  });
});

describe('a wrapped secret', () => {
  const { current } = withNewKey(null);
  const secret = randomBytes(64);

  test('comes back under the same key for the same purpose only', () => {
    const wrapped = wrapSecret(current, secret, 'drive volume-key');
    expect(Buffer.from(unwrapSecret(current, wrapped, 'drive volume-key')).equals(secret)).toBe(true);
    expect(() => unwrapSecret(current, wrapped, 'drive passphrase')).toThrow('authenticate');
    expect(() => unwrapSecret(withNewKey(null).current, wrapped, 'drive volume-key')).toThrow('authenticate');
  });

  test('cannot be changed in any byte or cut', () => {
    const wrapped = wrapSecret(current, secret, 'x');
    for (let at = 0; at < wrapped.byteLength; at += 1) {
      const changed = new Uint8Array(wrapped);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      expect(() => unwrapSecret(current, changed, 'x')).toThrow(/authenticate|no wrapped secret/);
    }
    expect(() => unwrapSecret(current, wrapped.subarray(0, 20), 'x')).toThrow('no wrapped secret');
  });

  test('is wrapped differently each time', () => {
    const [first, second] = [wrapSecret(current, secret, 'x'), wrapSecret(current, secret, 'x')];
    expect(Buffer.from(first).equals(second)).toBe(false);
  });
});

describe('sources of key rings', () => {
  let directory = '';
  let file = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'drivebay-keys-'));
    file = join(directory, 'master-key');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test('a file is made at first, for its owner alone, and then kept', async () => {
    const made = await fileKeyRing(file, mayMake).load();
    expect(statSync(file).mode % 0o1000).toBe(0o600);
    expect(await fileKeyRing(file, mayNotMake).load()).toEqual(made);
  });

  test('a missing file is not made anew while drives need the old one', async () => {
    await expect(fileKeyRing(file, mayNotMake).load()).rejects.toThrow('Put it back from a backup');
    expect(existsSync(file)).toBe(false);
  });

  test('a file that others can read is refused with the command that helps', async () => {
    writeFileSync(file, hexKey(), { mode: 0o600 });
    for (const mode of [0o640, 0o604, 0o660]) {
      chmodSync(file, mode);
      await expect(fileKeyRing(file, mayNotMake).load()).rejects.toThrow(`chmod 600 ${file}`);
    }
  });

  test('a file is replaced as a whole', async () => {
    const source = fileKeyRing(file, mayMake);
    const ring = withNewKey(await source.load());
    await source.replace?.(ring);
    expect(await source.load()).toEqual(ring);
    expect(statSync(file).mode % 0o1000).toBe(0o600);
    expect(existsSync(`${file}.new`)).toBe(false);
  });

  test('a damaged file is named, and its content is not shown', async () => {
    writeFileSync(file, 'secret-stuff', { mode: 0o600 });
    const load = fileKeyRing(file, mayMake).load();
    await expect(load).rejects.toThrow(`${file}: Master key 1 is not 64 hex digits.`);
    expect(readFileSync(file, 'utf8')).toBe('secret-stuff');
  });

  test('a text and the output of a command are read and cannot be replaced', async () => {
    const key = hexKey();
    for (const source of [textKeyRing(key), commandKeyRing(`printf ${key}`)]) {
      expect((await source.load()).all).toHaveLength(1);
      expect(source.replace).toBeNull();
    }
  });

  test('a command that fails, takes too long or prints no key says so without what it printed', async () => {
    const key = hexKey();
    const failure = async (source: ReturnType<typeof commandKeyRing>): Promise<string> => {
      const error: unknown = await source.load().catch((error: unknown) => error);
      return error instanceof Error ? `${error.message} ${String(error.cause)} ${error.stack ?? ''}` : '';
    };
    const failed = await failure(commandKeyRing(`echo ${key}; exit 3`));
    expect(failed).toContain('exit code 3');
    expect(failed).not.toContain(key);
    const late = await failure(commandKeyRing(`echo ${key}; exec sleep 60`, { timeoutMs: 50 }));
    expect(late).toContain('took over 50 ms');
    expect(late).not.toContain(key);
    expect(await failure(commandKeyRing('echo nothing'))).toContain('gave none: Master key 1 is not');
  });
});
