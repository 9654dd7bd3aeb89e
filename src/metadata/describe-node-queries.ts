import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { MetadataStore } from './metadata-store.ts';

export function describeNodeQueries(store: () => MetadataStore): void {
  const sample = (host: string) => {
    return { nodeId: randomUUID(), host, address: `${host}:8600`, version: '1.2.3', nbd: null };
  };

  describe('nodes', () => {
    test('are listed by their hosts, and up from when they start', async () => {
      const [b, a] = [sample('b'), sample('a')];
      const beforeMs = Date.now();
      for (const node of [b, a]) await store().transaction((tx) => tx.nodes.register(node));
      const listed = await store().nodes.list();
      expect(listed).toMatchObject([
        { ...a, state: 'up' },
        { ...b, state: 'up' },
      ]);
      for (const { startedAtMs, heartbeatAtMs } of listed) {
        expect(heartbeatAtMs).toBeGreaterThanOrEqual(startedAtMs);
        expect(Math.abs(startedAtMs - beforeMs)).toBeLessThan(10_000);
      }
    });

    test('are what they said of themselves last, until they start anew', async () => {
      const node = sample('a');
      await store().transaction((tx) => tx.nodes.register(node));
      const [first] = await store().nodes.list();
      const beatAtMs = await store().transaction((tx) => tx.nodes.beat(node.nodeId, 'draining'));
      expect(beatAtMs).toBeGreaterThanOrEqual(first?.startedAtMs ?? Infinity);
      expect(await store().nodes.list()).toMatchObject([
        { state: 'draining', heartbeatAtMs: beatAtMs, startedAtMs: first?.startedAtMs },
      ]);
      const nbd = { host: 'vm', port: 10_809, isTls: true };
      await store().transaction((tx) =>
        tx.nodes.register({ ...node, address: 'c:1', version: '2.0.0', nbd }),
      );
      const again = await store().nodes.list();
      expect(again).toMatchObject([{ state: 'up', address: 'c:1', version: '2.0.0', nbd }]);
      expect(again[0]?.startedAtMs).toBeGreaterThanOrEqual(beatAtMs ?? Infinity);
    });

    test('have pools, each of which belongs to one of them, and are not forgotten with those', async () => {
      const [a, b] = [sample('a'), sample('b')];
      for (const node of [a, b]) await store().transaction((tx) => tx.nodes.register(node));
      const disk = { poolName: 'disk', nodeId: a.nodeId, domain: 'rack1' };
      const other = { poolName: 'another', nodeId: b.nodeId, domain: 'rack2' };
      for (const pool of [disk, other]) await store().transaction((tx) => tx.nodes.putPool(pool));
      expect(await store().nodes.listPools()).toEqual([other, disk]);
      const moved = { ...disk, nodeId: b.nodeId, domain: 'rack2' };
      await store().transaction((tx) => tx.nodes.putPool(moved));
      await store().transaction((tx) => tx.nodes.removeUnheard(-60_000));
      expect(await store().nodes.list()).toMatchObject([b]);
      await store().transaction((tx) => tx.nodes.removePool('another'));
      expect(await store().nodes.listPools()).toEqual([moved]);
    });

    test('that nobody has heard of for too long are forgotten, and their signs of life count no more', async () => {
      const node = sample('a');
      await store().transaction((tx) => tx.nodes.register(node));
      await store().transaction((tx) => tx.nodes.removeUnheard(60_000));
      expect(await store().nodes.list()).toHaveLength(1);
      await store().transaction((tx) => tx.nodes.removeUnheard(-60_000));
      expect(await store().nodes.list()).toEqual([]);
      expect(await store().transaction((tx) => tx.nodes.beat(node.nodeId, 'up'))).toBeNull();
    });
  });
}
