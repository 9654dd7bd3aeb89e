import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runQemuImg, runTool } from './scratch-tools.ts';
import { mergeSecret, splitSecret } from './anti-forensic.ts';
import { formatLuks1Header, LUKS1_PAYLOAD_OFFSET_BYTES, openLuks1 } from './luks1.ts';

const volumeKey = randomBytes(64);
const passphrase = 'Abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG';
const uuid = '0a0b0c0d-1111-4222-8333-444455556666';
const header = formatLuks1Header({ volumeKey, passphrase, uuid, random: randomBytes });

describe('a LUKS1 header that Drivebay makes', () => {
  let directory = '';
  let volume = '';
  let keyFile = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'drivebay-luks-'));
    volume = join(directory, 'volume.img');
    keyFile = join(directory, 'passphrase');
    writeFileSync(volume, header);
    truncateSync(volume, LUKS1_PAYLOAD_OFFSET_BYTES + 1024 * 1024);
    writeFileSync(keyFile, passphrase);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test('is opened by its passphrase', () => {
    const opened = openLuks1({ header, passphrase });
    expect(Buffer.from(opened.volumeKey).equals(volumeKey)).toBe(true);
    expect(opened.payloadOffsetBytes).toBe(LUKS1_PAYLOAD_OFFSET_BYTES);
    expect(opened.uuid).toBe(uuid);
  });

  test('is described by cryptsetup as aes, xts-plain64, sha256, 512 bits and one keyslot', () => {
    const dump = runTool('cryptsetup', ['luksDump', volume]);
    expect(dump).toMatch(/Version:\s+1\n/);
    expect(dump).toMatch(/Cipher name:\s+aes\n/);
    expect(dump).toMatch(/Cipher mode:\s+xts-plain64\n/);
    expect(dump).toMatch(/Hash spec:\s+sha256\n/);
    expect(dump).toMatch(/Payload offset:\s+4096\n/);
    expect(dump).toMatch(/MK bits:\s+512\n/);
    expect(dump).toContain(uuid);
    expect(dump.match(/Key Slot \d: ENABLED/g)).toHaveLength(1);
    expect(dump.match(/Key Slot \d: DISABLED/g)).toHaveLength(7);
  });

  test('is opened by cryptsetup with the passphrase, and with no other', () => {
    const open = (input: string): string =>
      runTool('cryptsetup', ['open', '--test-passphrase', '--batch-mode', '--key-file', '-', volume], {
        input,
      });
    open(passphrase);
    expect(() => open(`${passphrase}x`)).toThrow('No key available');
  });

  test('is opened by qemu-img, which sees a drive of the payload size', () => {
    const options = `driver=luks,key-secret=key,file.filename=${volume}`;
    const secret = `secret,id=key,file=${keyFile}`;
    const info: unknown = JSON.parse(
      runTool('qemu-img', ['info', '--output=json', '--object', secret, '--image-opts', options]),
    );
    expect(info).toMatchObject({ format: 'luks', 'virtual-size': 1024 * 1024 });
  });

  test('is as random as it can be: two of the same key share nothing but the fields', () => {
    const again = Buffer.from(formatLuks1Header({ volumeKey, passphrase, uuid, random: randomBytes }));
    expect(again.subarray(4096).equals(header.subarray(4096))).toBe(false);
    expect(again.subarray(112, 164).equals(header.subarray(112, 164))).toBe(false);
    expect(Buffer.from(header).includes(volumeKey)).toBe(false);
  });
});

describe('opening LUKS1 volumes', () => {
  let directory = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'drivebay-luks-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test('one made by cryptsetup opens with the passphrase of any of its keyslots', () => {
    const volume = join(directory, 'cryptsetup.img');
    writeFileSync(volume, '');
    truncateSync(volume, 4 * 1024 * 1024);
    const [first, second] = [join(directory, 'first'), join(directory, 'second')];
    writeFileSync(first, 'the first passphrase');
    writeFileSync(second, 'the second passphrase');
    const cost = ['--pbkdf-force-iterations', '1000', '--batch-mode'];
    const cipher = ['--cipher', 'aes-xts-plain64', '--key-size', '512', '--hash', 'sha256'];
    runTool('cryptsetup', ['luksFormat', '--type', 'luks1', ...cost, ...cipher, volume, first]);
    runTool('cryptsetup', ['luksAddKey', ...cost, '--key-file', first, volume, second]);
    const bytes = readFileSync(volume);
    const opened = openLuks1({ header: bytes, passphrase: 'the first passphrase' });
    expect(openLuks1({ header: bytes, passphrase: 'the second passphrase' })).toEqual(opened);
    expect(() => openLuks1({ header: bytes, passphrase: 'another' })).toThrow('opens no keyslot');
  });

  test('one made by qemu-img opens', () => {
    const volume = join(directory, 'qemu.img');
    const keyFile = join(directory, 'key');
    writeFileSync(keyFile, passphrase);
    const options =
      'key-secret=key,iter-time=10,cipher-alg=aes-256,cipher-mode=xts,ivgen-alg=plain64,hash-alg=sha256';
    const secret = `secret,id=key,file=${keyFile}`;
    runQemuImg(['create', '-f', 'luks', '--object', secret, '-o', options, volume, '1M']);
    const bytes = readFileSync(volume);
    const opened = openLuks1({ header: bytes, passphrase });
    expect(opened.volumeKey.byteLength).toBe(64);
    expect(opened.payloadOffsetBytes + 1024 * 1024).toBe(bytes.byteLength);
  });

  test('what is wrong with a volume is said', () => {
    const changed = (at: number, ...bytes: readonly number[]): Uint8Array => {
      const copy = new Uint8Array(header);
      copy.set(bytes, at);
      return copy;
    };
    const open = (bytes: Uint8Array) => () => openLuks1({ header: bytes, passphrase });
    expect(open(header.subarray(0, 100))).toThrow('too short');
    expect(open(changed(0, 0))).toThrow('no LUKS volume');
    expect(open(changed(7, 2))).toThrow('version 2');
    expect(open(changed(8, 0x62))).toThrow('bes-xts-plain64');
    expect(open(changed(164, 0, 0, 0, 0))).toThrow('damaged');
    expect(open(changed(212, 0xff, 0xff, 0xff, 0xff))).toThrow('damaged');
    expect(open(changed(208, 0, 0, 0xde, 0xad))).toThrow('no active keyslot');
    expect(open(header.subarray(0, 100_000))).toThrow('cut off');
    expect(open(changed(5000, 1, 2, 3, 4, 5))).toThrow('opens no keyslot');
  });

  test('keys and passphrases of the wrong kind are refused before anything is made', () => {
    const format = (change: { volumeKey?: Uint8Array; passphrase?: string }) => () =>
      formatLuks1Header({ volumeKey, passphrase, uuid, random: randomBytes, ...change });
    expect(format({ volumeKey: new Uint8Array(32) })).toThrow(RangeError);
    expect(format({ passphrase: 'short' })).toThrow(RangeError);
    expect(format({ passphrase: `${passphrase}\n` })).toThrow(RangeError);
  });
});

test('a split secret comes back from all of its stripes, and from no fewer', () => {
  const secret = randomBytes(64);
  for (const hashName of ['sha1', 'sha256', 'sha512']) {
    const material = splitSecret(secret, { stripes: 50, hashName, random: randomBytes });
    const merge = (): Uint8Array => mergeSecret(material, { secretBytes: 64, hashName });
    expect(Buffer.from(merge()).equals(secret)).toBe(true);
    material[100] = (material[100] ?? 0) ^ 1;
    expect(Buffer.from(merge()).equals(secret)).toBe(false);
  }
});
