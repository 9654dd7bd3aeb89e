import { CliError } from './cli/cli-error.ts';
import { moveMetadata, takeMoveBack } from './compose-transfer.ts';
import type { MoveResult } from './compose-transfer.ts';
import { readConfig } from './read-config.ts';

export interface MigrationOptions {
  /** The flags of settings. */
  readonly flags: Readonly<Record<string, string>>;
  readonly isUndo: boolean;
  readonly isJson: boolean;
  readonly print: (text: string) => void;
}

/** Moves the metadata of a data directory into PostgreSQL, or takes that back. */
export async function migrateMetadata({ flags, isUndo, isJson, print }: MigrationOptions): Promise<void> {
  const { dataDirectory, metadata } = readConfig(flags);
  if (isUndo) {
    const database = await takeMoveBack(dataDirectory);
    print(isJson ? jsonLine({ database, undone: true }) : undoneText(dataDirectory, database));
    return;
  }
  if (metadata === null) {
    throw new CliError(
      'usage',
      'say where the metadata go: --metadata postgres://USER@HOST/DATABASE, an empty database',
    );
  }
  const result = await moveMetadata({ dataDirectory, target: metadata });
  print(isJson ? jsonLine({ database: result.database, rows: result.copied }) : movedText(result));
}

function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

function movedText({ database, copied }: MoveResult): string {
  const what =
    copied === null
      ? `An earlier move, which was interrupted, had moved everything to ${database}.\n`
      : `Moved to ${database}: ${rowsText(copied)}.\n`;
  return `${what}Start the server with the setting metadata for that database.\n`;
}

function rowsText(copied: NonNullable<MoveResult['copied']>): string {
  const { users, drives, claims, imaging_jobs: imagings } = copied;
  return `${users} users, ${drives} drives, ${claims} claims, ${imagings} imagings, and all that belongs to them`;
}

function undoneText(dataDirectory: string, database: string): string {
  return (
    `${dataDirectory} is used with SQLite again, as it was before the move. Leave the setting metadata out, and use ` +
    `${database} no more: what has changed there since is not here.\n`
  );
}
