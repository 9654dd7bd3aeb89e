import type { ResultSet, Statement as SqliteStatement } from '../sqlite/sqlite-thread-client.ts';
import type { SqlValue } from '../sqlite/protocol.ts';
import type { Statement as PostgresStatement } from '../postgres/postgres-connections.ts';
import type { CopiedTable } from './tables.ts';

/** Where rows come from, and where they go. */
export interface CopyEnds {
  readonly source: (statement: SqliteStatement) => Promise<ResultSet>;
  readonly target: (
    statement: PostgresStatement,
  ) => Promise<{ readonly rows: readonly Record<string, unknown>[] }>;
}

/** Rows that are in memory at once. A statement may have 65535 parameters, and no table has 100 columns. */
const BATCH_ROWS = 500;

type Row = ResultSet['rows'][number];

/**
 * Copies a table, all of its columns, into an empty one of the same name.
 *
 * @returns how many rows there are
 * @throws Error when the copy does not have as many rows
 */
export async function copyTable(ends: CopyEnds, table: CopiedTable): Promise<number> {
  const columns = await columnsOf(ends, table);
  const keyAt = table.key.map((key) => columns.findIndex(({ name }) => name === key));
  let copied = 0;
  for (let after: Row | null = null; ;) {
    const rows: readonly Row[] = await readRows(ends, { table, columns, after });
    const last = rows.at(-1);
    if (last === undefined) break;
    await ends.target(insertStatement(table, columns, rows));
    copied += rows.length;
    after = keyAt.map((index) => last[index] ?? null);
  }
  if (table.numbered !== null) await continueNumbers(ends, table.name, table.numbered);
  await compareCounts(ends, table, copied);
  return copied;
}

interface Column {
  readonly name: string;
  readonly isInteger: boolean;
}

async function columnsOf({ source }: CopyEnds, { name }: CopiedTable): Promise<readonly Column[]> {
  const { rows } = await source({ sql: 'select name, type from pragma_table_info(?)', parameters: [name] });
  return rows.map(([column, type]) => ({
    name: String(column),
    isInteger: String(type).toLowerCase() === 'integer',
  }));
}

async function readRows(
  { source }: CopyEnds,
  { table, columns, after }: { table: CopiedTable; columns: readonly Column[]; after: Row | null },
): Promise<readonly Row[]> {
  // Counters may be larger than what a number of JavaScript holds exactly.
  const values = columns.map(({ name, isInteger }) => (isInteger ? `cast("${name}" as text)` : `"${name}"`));
  const key = list(table.key);
  const where = after === null ? '' : `where (${key}) > (${after.map(() => '?').join(', ')})`;
  const sql = `select ${values.join(', ')} from "${table.name}" ${where} order by ${key} limit ${BATCH_ROWS}`;
  return (await source({ sql, parameters: after ?? [] })).rows;
}

function insertStatement(
  { name }: CopiedTable,
  columns: readonly Column[],
  rows: readonly Row[],
): PostgresStatement {
  const parameters: SqlValue[] = [];
  const values = rows.map((row) => {
    const places = row.map((value) => `$${parameters.push(value)}`);
    return `(${places.join(', ')})`;
  });
  const sql = `insert into "${name}" (${list(columns.map((column) => column.name))}) overriding system value values ${values.join(', ')}`;
  return { sql, parameters };
}

/** Lets the database go on numbering where the other one has stopped. */
async function continueNumbers({ source, target }: CopyEnds, name: string, column: string): Promise<void> {
  const { rows } = await source({
    sql: 'select seq from sqlite_sequence where name = ?',
    parameters: [name],
  });
  const last = rows[0]?.[0];
  if (last === undefined) return;
  const sql = 'select setval(pg_get_serial_sequence($1, $2), $3)';
  await target({ sql, parameters: [name, column, last] });
}

async function compareCounts(
  { source, target }: CopyEnds,
  { name }: CopiedTable,
  copied: number,
): Promise<void> {
  const sql = `select count(*) as count from "${name}"`;
  const [read, written] = await Promise.all([source({ sql }), target({ sql })]);
  const counts = [Number(read.rows[0]?.[0]), Number(written.rows[0]?.['count'])];
  if (counts.every((count) => count === copied)) return;
  throw new Error(
    `Of the ${counts[0]} rows of ${name}, ${copied} were copied and ${counts[1]} have arrived: nothing was moved.`,
  );
}

function list(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ');
}
