import type { Drive } from '../core/drive.ts';
import type { User } from '../core/user.ts';
import { ALL_USERS } from '../core/uuid.ts';
import type { DriveQuery } from '../metadata/metadata-store.ts';
import { LIST_PAGE_DRIVES } from './limits.ts';
import type { Info, InfoDetail, ListDrivesInput } from './service.ts';
import type { ServiceContext } from './service-context.ts';
import { showDrives } from './show-drive.ts';

/** Pages of the UUIDs of drives. */
export async function* listDriveIds(
  context: ServiceContext,
  actor: User,
  input: ListDrivesInput,
): AsyncGenerator<readonly string[]> {
  for await (const page of pagesOf(context, queryOf(actor, input), input.limit)) {
    yield page.map((drive) => drive.driveId);
  }
}

/** Pages of drive info. */
export async function* listDriveInfos(
  context: ServiceContext,
  actor: User,
  input: ListDrivesInput,
  detail: InfoDetail,
): AsyncGenerator<readonly Info[]> {
  await context.counters.flush();
  for await (const page of pagesOf(context, queryOf(actor, input), input.limit)) {
    yield await showDrives(context, page, { viewerId: actor.userId, detail });
  }
}

/** Pages of drives, each read from the metadata only when it is asked for. */
export async function* pagesOf(
  context: Pick<ServiceContext, 'metadata'>,
  query: Omit<DriveQuery, 'limit'>,
  limit = Infinity,
): AsyncGenerator<readonly Drive[]> {
  let left = limit;
  for (let after = query.after; left > 0;) {
    const pageLimit = Math.min(left, LIST_PAGE_DRIVES);
    const page = await context.metadata.drives.list({ ...query, after, limit: pageLimit });
    if (page.length > 0) yield page;
    if (page.length < pageLimit) return;
    left -= page.length;
    after = page.at(-1)?.driveId ?? after;
  }
}

function queryOf(actor: User, input: ListDrivesInput): Omit<DriveQuery, 'limit'> {
  return {
    userId: input.scope === 'own' ? actor.userId : null,
    readerId: input.scope === 'standard' ? ALL_USERS : null,
    tag: input.tag ?? null,
    state: 'ready',
    poolName: null,
    after: input.after ?? null,
  };
}
