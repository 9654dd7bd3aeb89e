import type { Drive } from '../core/drive.ts';
import { NO_ACTIVITY } from './drive-activity.ts';
import type { IoActivity } from './drive-activity.ts';
import { LIST_PAGE_DRIVES } from './limits.ts';
import type { Info } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/**
 * Pages of what was done to drives since this process started: those with open connections and those used last, as they
 * are at the time of the call.
 *
 * @param userId whose drives; null for everybody's, with their owners
 */
export async function* listActivity(
  { connections, activity, metadata }: Pick<ServiceContext, 'connections' | 'activity' | 'metadata'>,
  userId: string | null,
): AsyncGenerator<readonly Info[]> {
  connections.collect();
  const open = connections.countByDrive();
  const recent = activity.recent();
  const driveIds = [...new Set([...open.keys(), ...recent.keys()])].sort();
  for (let at = 0; at < driveIds.length; at += LIST_PAGE_DRIVES) {
    const drives = await metadata.drives.findMany(driveIds.slice(at, at + LIST_PAGE_DRIVES));
    const shown = drives.filter(
      (drive) => drive.state === 'ready' && (userId === null || drive.userId === userId),
    );
    yield shown.map((drive) => {
      const done = recent.get(drive.driveId) ?? NO_ACTIVITY;
      const owner = userId === null ? { user: drive.userId } : {};
      return describeActivity(drive, { owner, connections: open.get(drive.driveId) ?? 0, done });
    });
  }
}

function describeActivity(
  { driveId, name }: Drive,
  { owner, connections, done }: { owner: Info; connections: number; done: IoActivity },
): Info {
  return {
    drive: driveId,
    ...(name === null ? {} : { name }),
    ...owner,
    connections: String(connections),
    'read:requests': String(done.read.requests),
    'read:bytes': String(done.read.bytes),
    'read:us': microseconds(done.read),
    'write:requests': String(done.write.requests),
    'write:bytes': String(done.write.bytes),
    'write:us': microseconds(done.write),
    'flush:requests': String(done.flush.requests),
    'flush:us': microseconds(done.flush),
  };
}

function microseconds({ seconds }: { seconds: number }): string {
  return String(Math.round(seconds * 1e6));
}
