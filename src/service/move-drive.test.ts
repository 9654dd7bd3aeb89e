import { afterEach, beforeEach, expect, test } from 'vitest';
import { registerNodes } from '../../test/helpers/sample-nodes.ts';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import type { Drive } from '../core/drive.ts';
import type { Node } from '../core/node.ts';
import { moveDrive } from './move-drive.ts';
import type { ServiceContext } from './service-context.ts';

// Two nodes, and two pools that are nobody's.

let scratch: ScratchService;
let context: ServiceContext;
let drive: Drive;
let other: Partial<Node>;

beforeEach(async () => {
  scratch = await createScratchService();
  other = {};
  const { metadata, pools } = scratch.context;
  await metadata.transaction(async (tx) => {
    await registerNodes(tx, ['this', 'other']);
  });
  const list = async (): Promise<readonly Node[]> =>
    (await metadata.nodes.list()).map((node) => (node.nodeId === 'other' ? { ...node, ...other } : node));
  const [config] = pools.configs;
  if (config === undefined) throw new Error('There is no pool.');
  const second = { ...config, spec: { ...config.spec, name: 'second' }, domain: 'there' };
  const place = {
    isActive: true,
    tier: null,
    totalBytes: 2 ** 40,
    availableBytes: 2 ** 40,
    promisedBytes: 0,
  };
  context = {
    ...scratch.context,
    mayHaveOtherNodes: true,
    pools: { ...pools, configs: [config, second] },
    poolLoads: {
      ...scratch.context.poolLoads,
      places: () =>
        Promise.resolve([
          { ...place, name: 'default', domain: 'here' },
          { ...place, name: 'second', domain: 'there' },
        ]),
    },
    metadata: {
      ...metadata,
      transaction: (work) => metadata.transaction((tx) => work({ ...tx, nodes: { ...tx.nodes, list } })),
    },
  };
  drive = await scratch.addDrive(await scratch.addUser());
});

afterEach(() => scratch[Symbol.asyncDispose]());

test('a move between pools of all nodes is the asked node’s', async () => {
  await moveDrive(context, drive.driveId, { poolName: 'second' });
  const move = await context.metadata.moves.find(drive.driveId);
  expect(move).toMatchObject({ poolName: 'second', state: 'queued', nodeId: 'this' });
});

test('it is refused while a node of an earlier version is there, which would make it too', async () => {
  other = { revision: 0 };
  const move = (): Promise<unknown> => moveDrive(context, drive.driveId, { poolName: 'second' });
  await expect(move()).rejects.toMatchObject({ code: 'system', facts: { node: 'other' } });
  expect(await context.metadata.moves.find(drive.driveId)).toBeNull();
  other = { revision: 0, state: 'gone' };
  await move();
});
