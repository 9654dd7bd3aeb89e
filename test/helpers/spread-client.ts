import type { SeededRandom } from '../fault/seeded-random.ts';
import { clientOver } from './drive-client.ts';
import type { Call, DriveClient } from './drive-client.ts';
import type { Serving } from './server-process.ts';

/**
 * A user each of whose requests goes to one of the nodes at random. Who asks for info sees what all of them have
 * counted: nodes tell each other within a second, and that is not waited for here but brought about.
 */
export function spreadClient(
  nodes: readonly Serving[],
  { auth, random }: { readonly auth: string | null; readonly random: SeededRandom },
): DriveClient {
  const clients = nodes.map((node) => node.as(auth));
  return clientOver({
    port: () => random.pick(clients).port,
    async send(call) {
      const index = random.below(clients.length);
      const others = nodes.filter((_, other) => other !== index);
      if (tellsCounters(call)) await Promise.allSettled(others.map(tellCounters));
      return await random.pick(clients.slice(index, index + 1)).send(call);
    },
  });
}

function tellsCounters({ path }: Call): boolean {
  return /^\/(admin\/)?drives\/.*info/.test(path);
}

/** A node puts what it has counted into the metadata before it answers with info of any drive. */
async function tellCounters(node: DriveClient): Promise<void> {
  await node.get('/drives/info?limit=1');
}
