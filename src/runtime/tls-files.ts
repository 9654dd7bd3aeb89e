import { readFile } from 'node:fs/promises';
import { unwatchFile, watchFile } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Logger } from 'pino';

/** Where the certificate chain and its private key are, in PEM. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface TlsPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Reads the pair. @throws Error with a sentence unless the two can be read and belong together */
export async function readTlsPair({ certFile, keyFile }: TlsFiles): Promise<TlsPair> {
  try {
    const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
    createSecureContext({ cert, key });
    return { cert, key };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`The TLS certificate ${certFile} with the key ${keyFile} cannot be used: ${reason}.`, {
      cause,
    });
  }
}

/**
 * Applies the pair anew whenever one of the files changes. A pair that is no good is logged, and the old one goes on:
 * the two files are seldom replaced at the same moment. The files are looked at by their names, so that a symbolic
 * link that is turned to another file counts as a change.
 *
 * @returns what ends it
 */
export function watchTlsFiles(
  files: TlsFiles,
  { intervalMs, logger, apply }: { intervalMs: number; logger: Logger; apply: (pair: TlsPair) => void },
): () => void {
  const reload = (): void => {
    readTlsPair(files).then(
      (pair) => {
        apply(pair);
        logger.info({ certFile: files.certFile }, 'TLS certificate loaded anew');
      },
      (error: unknown) =>
        logger.error({ err: error, ...files }, 'the new TLS pair is no good; the old one goes on'),
    );
  };
  const names = [files.certFile, files.keyFile];
  for (const name of names) watchFile(name, { interval: intervalMs, persistent: false }, reload);
  return () => {
    for (const name of names) unwatchFile(name, reload);
  };
}
