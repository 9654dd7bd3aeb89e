import { rename, rm, writeFile } from 'node:fs/promises';
import { textOf, type Info } from './api/api-client.ts';
import { CliError, fileError } from './cli-error.ts';

/** The passphrase in the answer to a key export. */
export function passphraseOf(info: Info): string {
  const passphrase = textOf(info, 'passphrase');
  if (passphrase === null) throw new CliError('failed', "the server's answer has no passphrase");
  return passphrase;
}

/** Writes a passphrase as QEMU and cryptsetup take it, readable by nobody else at any time; refuses to replace a file. */
export async function createKeyFile(path: string, passphrase: string): Promise<void> {
  await writeNew(path, passphrase).catch((error: unknown) => {
    throw fileError('write', path, error);
  });
}

/** The same, in place of a file that there is. */
export async function replaceKeyFile(path: string, passphrase: string): Promise<void> {
  const beside = `${path}.${process.pid}`;
  try {
    await writeNew(beside, passphrase);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw fileError('write', path, error);
  }
}

async function writeNew(path: string, passphrase: string): Promise<void> {
  await writeFile(path, passphrase, { mode: 0o600, flag: 'wx' });
}
