import { expect, test } from 'vitest';
import { NODE_GONE_MS, nodeStateAt } from './node.ts';

test('a node is gone from when it was not heard of for long enough, whatever it said last', () => {
  for (const state of ['up', 'draining'] as const) {
    const node = { state, heartbeatAtMs: 1000 };
    expect(nodeStateAt(node, 1000 + NODE_GONE_MS - 1)).toBe(state);
    expect(nodeStateAt(node, 1000 + NODE_GONE_MS)).toBe('gone');
  }
  expect(nodeStateAt({ state: 'gone', heartbeatAtMs: 1000 }, 1000)).toBe('gone');
});
