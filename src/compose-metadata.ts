import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config, MetadataDatabase } from './config/config.ts';
import type { MetadataStore } from './metadata/metadata-store.ts';
import type { DatabaseState, PostgresOptions, PostgresTls } from './metadata/postgres/postgres-options.ts';
import { openPostgresStore } from './metadata/postgres/postgres-store.ts';
import { openSqliteStore } from './metadata/sqlite/sqlite-store.ts';
import { findMovedMark } from './metadata/transfer/moved-mark.ts';

/**
 * Opens the metadata where the configuration says they are.
 *
 * @param onBack called each time that the database is back after it was away
 * @throws Error with a sentence for the operator when they have moved to another database
 */
export async function openMetadata(
  { metadata, dataDirectory }: Config,
  { log, onBack }: { readonly log: Logger; readonly onBack: () => void },
): Promise<MetadataStore> {
  if (metadata === null) return await openOwnMetadata(dataDirectory);
  const onChange = (state: DatabaseState): void => {
    if (state.isAway) log.warn({ err: state.error }, 'the metadata database is away');
    else {
      log.warn({ awayMs: Math.round(state.awayMs) }, 'the metadata database is back');
      onBack();
    }
  };
  return await openPostgresStore({ ...postgresOptions(metadata), onChange });
}

async function openOwnMetadata(dataDirectory: string): Promise<MetadataStore> {
  const store = await openSqliteStore({ path: sqlitePath(dataDirectory) });
  const mark = await findMovedMark(store);
  if (mark === null) return store;
  await store.close();
  const command = `drivebay migrate-metadata --data-dir ${dataDirectory}`;
  throw new Error(
    `The metadata of ${dataDirectory} were moved to the PostgreSQL database ${mark.database} on ` +
      `${new Date(mark.movedAtMs).toISOString()}: set metadata to that one. If the move was interrupted, do it again: ` +
      `${command}. To go back to what they were then, without all that has changed since: ${command} --undo.`,
  );
}

export function sqlitePath(dataDirectory: string): string {
  return join(dataDirectory, 'metadata.sqlite');
}

export function postgresOptions({ tlsMode, caFile, ...database }: MetadataDatabase): PostgresOptions {
  return { ...database, tls: tlsMode === 'disable' ? null : tlsOptions(tlsMode, caFile) };
}

function tlsOptions(mode: 'require' | 'verify-ca' | 'verify-full', caFile: string | null): PostgresTls {
  const verify = { require: 'nothing', 'verify-ca': 'authority', 'verify-full': 'host' } as const;
  return { verify: verify[mode], ca: caFile === null ? null : readCa(caFile) };
}

function readCa(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`The authorities of the metadata database cannot be read: ${reason}.`, { cause: error });
  }
}

/** The UUID of the node that has this data directory, made at its first start. Nodes of one database differ in it. */
export function loadNodeId(dataDirectory: string, newUuid: () => string): string {
  const path = join(dataDirectory, 'node-id');
  const known = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  if (known !== '') return known;
  const nodeId = newUuid();
  writeFileSync(path, `${nodeId}\n`, { mode: 0o600, flush: true });
  return nodeId;
}
