import type { Kysely } from 'kysely';
import type { DriveCounters } from '../../core/drive.ts';
import type { Schema } from '../schema.ts';
import { prepareQuery } from './prepared-query.ts';

/** The query that adds to counters, compiled for one kind of database. */
export type CounterQueries = ReturnType<typeof prepareCounterQueries>;

export function prepareCounterQueries(db: Kysely<Schema>) {
  return {
    add: prepareQuery((delta: DriveCounters & { driveId: string }) =>
      db
        .updateTable('drive_counters')
        .set((eb) => ({
          read_bytes: eb('read_bytes', '+', delta.readBytes),
          read_requests: eb('read_requests', '+', delta.readRequests),
          write_bytes: eb('write_bytes', '+', delta.writeBytes),
          write_requests: eb('write_requests', '+', delta.writeRequests),
        }))
        .where('drive_id', '=', delta.driveId),
    ),
  };
}

/** Adds to the counters of many drives, in the order of their UUIDs so that two of these cannot block each other. */
export async function addCounters(
  db: Kysely<Schema>,
  queries: CounterQueries,
  deltas: ReadonlyMap<string, DriveCounters>,
): Promise<void> {
  const sorted = [...deltas].sort(([one], [other]) => (one < other ? -1 : 1));
  await Promise.all(sorted.map(([driveId, delta]) => queries.add(db, { driveId, ...delta })));
}
