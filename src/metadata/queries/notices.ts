import type { Kysely } from 'kysely';
import { nodeStateAt } from '../../core/node.ts';
import type { NoticeReader, NoticeWriter } from '../metadata-store.ts';
import type { Schema } from '../schema.ts';
import type { DatabaseClock } from './nodes.ts';

export function createNoticeReader(db: Kysely<Schema>, clock: DatabaseClock): NoticeReader {
  return {
    async listOf(nodeId, limit) {
      const notices = db.selectFrom('notices').select(['notice_id', 'drive_id']);
      const rows = await notices.where('node_id', '=', nodeId).limit(limit).execute();
      return rows.map((row) => ({ noticeId: row.notice_id, driveId: row.drive_id, nodeId }));
    },
    async listOpen(noticeIds) {
      if (noticeIds.length === 0) return [];
      const rows = await db
        .selectFrom('notices')
        .innerJoin('nodes', 'nodes.node_id', 'notices.node_id')
        .select(['notices.notice_id', 'notices.node_id', 'nodes.state', 'nodes.heartbeat_at_ms'])
        .select(clock.as('now_ms'))
        .where('notices.notice_id', 'in', noticeIds)
        .execute();
      return rows.map(({ notice_id, node_id, state, heartbeat_at_ms, now_ms }) => ({
        noticeId: notice_id,
        nodeId: node_id,
        node: {
          state: nodeStateAt({ state, heartbeatAtMs: heartbeat_at_ms }, now_ms),
          hasEnded: state === 'gone',
        },
      }));
    },
  };
}

export function createNoticeWriter(db: Kysely<Schema>): NoticeWriter {
  return {
    async put({ noticeId, nodeId, driveId }) {
      const row = { notice_id: noticeId, node_id: nodeId, drive_id: driveId };
      await db.insertInto('notices').values(row).execute();
    },
    async remove(noticeIds) {
      if (noticeIds.length === 0) return;
      await db.deleteFrom('notices').where('notice_id', 'in', noticeIds).execute();
    },
  };
}
