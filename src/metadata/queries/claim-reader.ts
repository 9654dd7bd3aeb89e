import type { ExpressionBuilder, Kysely, Selectable } from 'kysely';
import type { Claim } from '../../core/claim.ts';
import type { ClaimReader } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';
import { prepareQuery } from './prepared-query.ts';

const COLUMNS = [
  'drive_id',
  'server_id',
  'access',
  'epoch',
  'secret_hash',
  'claimed_at_ms',
  'lease_ms',
  'expires_at_ms',
] as const;

type ClaimRow = Selectable<Schema['claims']>;

/** The queries on claims that run on every request, compiled for one kind of database. */
export type ClaimQueries = ReturnType<typeof prepareClaimQueries>;

export function prepareClaimQueries(db: Kysely<Schema>) {
  const claims = db.selectFrom('claims').select(COLUMNS);
  return {
    find: prepareQuery(({ driveId, serverId }: { driveId: string; serverId: string }) =>
      claims.where('drive_id', '=', driveId).where('server_id', '=', serverId),
    ),
    findBySecretHash: prepareQuery(({ secretHash }: { secretHash: Uint8Array }) =>
      claims.where('secret_hash', '=', secretHash),
    ),
    listOfOne: prepareQuery(({ driveId }: { driveId: string }) =>
      claims.where('drive_id', '=', driveId).orderBy('epoch'),
    ),
  };
}

export function createClaimReader(db: Kysely<Schema>, queries: ClaimQueries): ClaimReader {
  return {
    async find({ driveId, serverId }) {
      const { rows } = await queries.find(db, { driveId, serverId });
      return rows[0] === undefined ? null : toClaim(rows[0]);
    },
    async findBySecretHash(secretHash) {
      const { rows } = await queries.findBySecretHash(db, { secretHash });
      return rows[0] === undefined ? null : toClaim(rows[0]);
    },
    async list(driveIds) {
      const [driveId] = driveIds;
      if (driveId === undefined) return [];
      if (driveIds.length === 1) return (await queries.listOfOne(db, { driveId })).rows.map(toClaim);
      const query = db.selectFrom('claims').select(COLUMNS).where('drive_id', 'in', driveIds);
      return (await query.orderBy('drive_id').orderBy('epoch').execute()).map(toClaim);
    },
    async listExpired({ nowMs, limit, exceptPools = [] }) {
      const expired = db
        .selectFrom('claims')
        .select(COLUMNS)
        .where('expires_at_ms', '<=', nowMs)
        .orderBy('expires_at_ms')
        .limit(limit);
      const wanted = exceptPools.length === 0 ? expired : expired.where(isOutside(exceptPools));
      return (await wanted.execute()).map(toClaim);
    },
    async listLeftOpen(limit) {
      const left = db
        .selectFrom('drives')
        .select(['drive_id', 'pool_name'])
        .where('direct_epoch', 'is not', null)
        .where(isUnclaimed)
        .limit(limit);
      return (await left.execute()).map((row) => ({ driveId: row.drive_id, poolName: row.pool_name }));
    },
    async count() {
      const counted = db.selectFrom('claims').select((each) => each.fn.countAll().as('claims'));
      return Number((await counted.executeTakeFirstOrThrow()).claims);
    },
  };
}

/** Looks the drive of each claim up: there are far fewer of these than drives in a pool. */
function isOutside(poolNames: readonly string[]) {
  return ({ exists, selectFrom }: ExpressionBuilder<Schema, 'claims'>) =>
    exists(
      selectFrom('drives')
        .select('drives.drive_id')
        .whereRef('drives.drive_id', '=', 'claims.drive_id')
        .where('drives.pool_name', 'not in', poolNames),
    );
}

function isUnclaimed({ exists, not, selectFrom }: ExpressionBuilder<Schema, 'drives'>) {
  const claims = selectFrom('claims')
    .select('claims.drive_id')
    .whereRef('claims.drive_id', '=', 'drives.drive_id')
    .whereRef('claims.epoch', '=', 'drives.direct_epoch');
  return not(exists(claims));
}

function toClaim(row: ClaimRow): Claim {
  return {
    driveId: row.drive_id,
    serverId: row.server_id,
    access: row.access,
    epoch: row.epoch,
    secretHash: row.secret_hash,
    claimedAtMs: row.claimed_at_ms,
    leaseMs: row.lease_ms,
    expiresAtMs: row.expires_at_ms,
  };
}
