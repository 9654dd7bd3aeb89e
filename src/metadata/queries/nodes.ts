import { sql } from 'kysely';
import type { Kysely, RawBuilder, Selectable } from 'kysely';
import { NODE_REVISION, nodeStateAt } from '../../core/node.ts';
import type { Node, NodeNbd } from '../../core/node.ts';
import type { NodeReader, NodeWriter } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';

/** The time of the database, in milliseconds since 1970, as each kind of database tells it. */
export type DatabaseClock = RawBuilder<number>;

export function createNodeReader(db: Kysely<Schema>, clock: DatabaseClock): NodeReader {
  return {
    async list() {
      const rows = await db
        .selectFrom('nodes')
        .select(['node_id', 'host', 'address', 'version', 'nbd', 'state'])
        .select(['started_at_ms', 'heartbeat_at_ms', 'revision'])
        .select(clock.as('now_ms'))
        .orderBy('host')
        .orderBy('node_id')
        .execute();
      return rows.map(toNode);
    },
    async listPools() {
      const pools = db.selectFrom('pools').select(['pool_name', 'node_id', 'domain']).orderBy('pool_name');
      const rows = await pools.execute();
      return rows.map((row) => ({ poolName: row.pool_name, nodeId: row.node_id, domain: row.domain }));
    },
  };
}

export function createNodeWriter(db: Kysely<Schema>, clock: DatabaseClock): NodeWriter {
  return {
    async register({ nodeId, nbd, ...described }) {
      const nbdText = nbd === null ? null : JSON.stringify(nbd);
      const row = {
        ...described,
        nbd: nbdText,
        state: 'up',
        started_at_ms: clock,
        heartbeat_at_ms: clock,
        revision: NODE_REVISION,
      } as const;
      await db
        .insertInto('nodes')
        .values({ node_id: nodeId, ...row })
        .onConflict((conflict) => conflict.column('node_id').doUpdateSet(row))
        .execute();
    },
    async beat(nodeId, state) {
      const row = await db
        .updateTable('nodes')
        .set({ state, heartbeat_at_ms: clock })
        .where('node_id', '=', nodeId)
        .returning('heartbeat_at_ms')
        .executeTakeFirst();
      return row?.heartbeat_at_ms ?? null;
    },
    async putPool({ poolName, nodeId, domain }) {
      const change = { node_id: nodeId, domain };
      await db
        .insertInto('pools')
        .values({ pool_name: poolName, ...change })
        .onConflict((conflict) => conflict.column('pool_name').doUpdateSet(change))
        .execute();
    },
    async removePool(poolName) {
      await db.deleteFrom('pools').where('pool_name', '=', poolName).execute();
    },
    async removeUnheard(sinceMs) {
      await db
        .deleteFrom('nodes')
        .where('node_id', 'not in', db.selectFrom('pools').select('node_id'))
        .where('heartbeat_at_ms', '<', sql<number>`${clock} - ${sql.lit(sinceMs)}`)
        .execute();
    },
  };
}

function toNode(row: Selectable<Schema['nodes']> & { now_ms: number }): Node {
  const node = {
    nodeId: row.node_id,
    host: row.host,
    address: row.address,
    version: row.version,
    nbd: row.nbd === null ? null : (JSON.parse(row.nbd) as NodeNbd),
    state: row.state,
    startedAtMs: row.started_at_ms,
    heartbeatAtMs: row.heartbeat_at_ms,
    revision: row.revision,
  };
  return { ...node, state: nodeStateAt(node, row.now_ms), hasEnded: row.state === 'gone' };
}
