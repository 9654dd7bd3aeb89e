import type { Compilable, CompiledQuery, Kysely } from 'kysely';
import type { Schema } from '../schema.ts';

/** A query that was compiled once; each run costs no more than its parameters. */
export type PreparedQuery<Parameters, Row> = (
  db: Kysely<Schema>,
  parameters: Parameters,
) => Promise<PreparedResult<Row>>;

interface PreparedResult<Row> {
  readonly rows: readonly Row[];
  readonly numAffectedRows?: bigint;
}

/** Stands in the compiled query where a parameter of this name belongs. */
interface Slot {
  readonly slot: string;
}

/**
 * Compiles a query once, for those that run on every request: building and compiling with Kysely takes some 40
 * microseconds, twenty times as long as filling in the parameters.
 *
 * @param build makes the query from parameters that it only passes on: it must not look at their values
 */
export function prepareQuery<Parameters extends object, Row>(
  build: (parameters: Parameters) => Compilable<Row>,
): PreparedQuery<Parameters, Row> {
  const slots = new Proxy({}, { get: (_target, name): Slot => Object.freeze({ slot: String(name) }) });
  const compiled = build(slots as Parameters).compile();
  return (db, parameters) => db.executeQuery(withParameters(compiled, new Map(Object.entries(parameters))));
}

function withParameters<Row>(
  compiled: CompiledQuery<Row>,
  values: ReadonlyMap<string, unknown>,
): CompiledQuery<Row> {
  const parameters = compiled.parameters.map((parameter) =>
    isSlot(parameter) ? values.get(parameter.slot) : parameter,
  );
  return { ...compiled, parameters };
}

function isSlot(parameter: unknown): parameter is Slot {
  return typeof parameter === 'object' && parameter !== null && 'slot' in parameter;
}
