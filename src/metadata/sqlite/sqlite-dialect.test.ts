import { Kysely, sql } from 'kysely';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createSqliteDialect } from './sqlite-dialect.ts';
import type { ResultSet, Statement } from './sqlite-thread-client.ts';

const NOTHING: ResultSet = { columns: [], rows: [], changes: 0 };

test('a statement is handed on before those asked for earlier are answered, and behind them', async () => {
  const asked: string[] = [];
  let answer = (): void => undefined;
  const answered = new Promise<ResultSet>((resolve) => {
    answer = () => resolve(NOTHING);
  });
  const run = ({ sql: text }: Statement): Promise<ResultSet> => {
    asked.push(text);
    return answered;
  };
  const db = new Kysely<unknown>({ dialect: createSqliteDialect(run) });
  const results = Promise.all(['one', 'two', 'three'].map((text) => sql.raw(text).execute(db)));
  await setImmediate();
  expect(asked).toEqual(['one', 'two', 'three']);
  answer();
  await expect(results).resolves.toHaveLength(3);
});
