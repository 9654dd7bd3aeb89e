import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { MetadataStore } from './metadata-store.ts';

export function describeNoticeQueries(store: () => MetadataStore): void {
  async function register(nodeId: string): Promise<void> {
    const node = { nodeId, host: nodeId, address: 'a:1', version: '1.2.3', nbd: null };
    await store().transaction((tx) => tx.nodes.register(node));
  }

  describe('notices', () => {
    test('are listed by the node that is to heed them, and open until they are removed', async () => {
      for (const nodeId of ['a', 'b']) await register(nodeId);
      const [one, two, other] = ['a', 'a', 'b'].map((nodeId) => {
        return { noticeId: randomUUID(), nodeId, driveId: randomUUID() };
      });
      if (one === undefined || two === undefined || other === undefined) throw new Error();
      const put = [one, two, other];
      for (const notice of put) await store().transaction((tx) => tx.notices.put(notice));
      expect(await store().notices.listOf('a', 10)).toEqual(expect.arrayContaining([one, two]));
      expect(await store().notices.listOf('a', 1)).toHaveLength(1);
      expect(await store().notices.listOf('b', 10)).toEqual([other]);
      await store().transaction((tx) => tx.nodes.beat('b', 'gone'));
      await store().transaction((tx) => tx.notices.remove([one.noticeId]));
      const open = await store().notices.listOpen(put.map(({ noticeId }) => noticeId));
      expect(open).toHaveLength(2);
      expect(open).toEqual(
        expect.arrayContaining([
          { noticeId: two.noticeId, nodeId: 'a', node: { state: 'up', hasEnded: false } },
          { noticeId: other.noticeId, nodeId: 'b', node: { state: 'gone', hasEnded: true } },
        ]),
      );
      expect(await store().notices.listOpen([])).toEqual([]);
    });

    test('of a node that is forgotten are forgotten with it', async () => {
      await register('a');
      await store().transaction((tx) =>
        tx.notices.put({ noticeId: randomUUID(), nodeId: 'a', driveId: randomUUID() }),
      );
      await store().transaction((tx) => tx.nodes.removeUnheard(-60_000));
      expect(await store().notices.listOf('a', 10)).toEqual([]);
    });
  });
}
