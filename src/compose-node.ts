import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { packageVersion } from './cli/process-io.ts';
import { loadNodeId } from './compose-metadata.ts';
import type { Config } from './config/config.ts';
import { formatListenAddress } from './config/listen-address.ts';
import type { ListenAddress } from './config/listen-address.ts';
import { DriveError } from './core/errors.ts';
import type { ImagingRunner } from './imaging/imaging-runner.ts';
import type { MetadataStore } from './metadata/metadata-store.ts';
import { systemClock } from './runtime/clock.ts';
import type { Lifecycle } from './runtime/lifecycle.ts';
import { registerNode } from './service/node-presence.ts';
import type { NodePresence } from './service/node-presence.ts';
import { CREATE_MS } from './service/limits.ts';
import { createNodeFence } from './service/node-fence.ts';
import { createNoticeKeeper } from './service/notice-keeper.ts';
import { createPoolOwners } from './service/pool-owners.ts';
import type { PoolOwners } from './service/pool-owners.ts';
import type { ServiceContext } from './service/service-context.ts';

/** How often a node tells the others that it is there; several times before it would be taken to be gone. */
const BEAT_MS = 3_000;

/** This node, and what it knows of the others. */
export interface NodeMembership {
  readonly node: NodePresence;
  readonly poolOwners: PoolOwners;
  /** Tells everybody that this node is there and looks at the others, at once: to be called when the database is back. */
  readonly comeBack: () => void;
}

/** Makes this process a node of the installation. */
export async function joinNodes(options: {
  readonly config: Config;
  readonly metadata: MetadataStore;
  readonly lifecycle: Lifecycle;
  readonly installationId: string;
  readonly log: Logger;
}): Promise<NodeMembership> {
  const { config, metadata, lifecycle, installationId, log } = options;
  const isAlone = config.metadata === null;
  const description = {
    nodeId: loadNodeId(config.dataDirectory, () => (isAlone ? installationId : randomUUID())),
    host: hostname(),
    address: reachableAddress(config.listen),
    version: packageVersion(),
    nbd: null,
  };
  const node = await registerNode({
    metadata,
    description,
    isAlone,
    clock: systemClock,
  });
  const poolOwners = createPoolOwners(metadata, node);
  const beat = (): void => {
    Promise.all([node.beat(), poolOwners.refresh()]).catch((error: unknown) =>
      log.error({ err: error }, 'telling the other nodes that this one is there'),
    );
  };
  // With SQLite there is nobody to tell, and no reason to write to the disk all the time.
  const timer = isAlone ? null : setInterval(beat, BEAT_MS);
  lifecycle.own('node', async () => {
    if (timer !== null) clearInterval(timer);
    await node.end();
  });
  await poolOwners.refresh();
  return { node, poolOwners, comeBack: beat };
}

/** How often a node looks whether another one has told it something. */
const NOTICE_MS = 200;

/**
 * What a node owes to the others, for as long as it serves.
 *
 * @param finishAll finishes what was left half done, also by other nodes
 */
export function ownNodeDuties(lifecycle: Lifecycle, context: ServiceContext, finishAll: () => void): void {
  ownNotices(lifecycle, context);
  ownFence(lifecycle, context);
  ownGoneNodes(lifecycle, context);
  const timer = setInterval(finishAll, CREATE_MS);
  lifecycle.own('removals', () => clearInterval(timer));
}

/** Does what other nodes ask of this one. */
function ownNotices(lifecycle: Lifecycle, context: ServiceContext): void {
  const keeper = createNoticeKeeper(context);
  const stopping = new AbortController();
  const work = (async () => {
    while (!stopping.signal.aborted) {
      await keeper.look().catch((error: unknown) => {
        // That the database is away is told by whoever watches it.
        if (!(error instanceof DriveError))
          context.reportFailure(error, 'looking for notices of other nodes');
      });
      await systemClock.sleep(NOTICE_MS, stopping.signal);
    }
  })();
  lifecycle.own('notices', async () => {
    stopping.abort();
    await work;
    await keeper.stop();
  });
}

/** How often a node looks whether it still may use what other nodes can reach as well. */
const FENCE_CHECK_MS = 500;

/** Lets go of shared pools while the node is fenced. */
function ownFence(lifecycle: Lifecycle, context: ServiceContext): void {
  const fence = createNodeFence(context);
  const check = (): void => {
    fence
      .check()
      .catch((error: unknown) => context.reportFailure(error, 'cutting what other nodes may take over'));
  };
  const timer = setInterval(check, FENCE_CHECK_MS);
  lifecycle.own('fence', () => clearInterval(timer));
}

/** How often a node looks for others that are gone: so often that it is done before an imaging's lease runs out. */
const GONE_CHECK_MS = 3_000;

/** Keeps nodes that are gone from what they may still have under way. */
function ownGoneNodes(lifecycle: Lifecycle, { goneNodes, reportFailure }: ServiceContext): void {
  const check = (): void => {
    goneNodes.fenceAll().catch((error: unknown) => {
      // That the database or the pool is away is told by whoever watches it.
      if (!(error instanceof DriveError)) reportFailure(error, 'keeping nodes that are gone out of pools');
    });
  };
  const timer = setInterval(check, GONE_CHECK_MS);
  lifecycle.own('gone nodes', () => clearInterval(timer));
}

const ANY_HOSTS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Where others reach a listener: one on all addresses is reached by the name of the machine. */
export function reachableAddress({ host, port }: ListenAddress): string {
  return formatListenAddress({ host: ANY_HOSTS.has(host) ? hostname() : host, port });
}

/**
 * What is done first when the server is to stop: everybody is told, its imagings go back to the queue for other nodes,
 * and load balancers are left some time to see that it is not ready any more.
 */
export function ownDrain(
  lifecycle: Lifecycle,
  parts: { node: NodePresence; imaging: Pick<ImagingRunner, 'stop'>; drainSeconds: number },
): void {
  lifecycle.own('drain', async () => {
    const ended = Promise.all([parts.node.drain(), parts.imaging.stop()]);
    ended.catch(() => undefined);
    await systemClock.sleep(parts.drainSeconds * 1000);
    await ended;
  });
}
