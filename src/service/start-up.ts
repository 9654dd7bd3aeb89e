import type { MetadataStore } from '../metadata/metadata-store.ts';
import { createOnlyUser, makeApiKey } from './manage-users.ts';
import type { ServiceContext } from './service-context.ts';

const INSTALLATION = 'installation';
const markedKey = (poolName: string): string => `pool:${poolName}:marked`;

/** The UUID of this installation, made at its first start. Pools are marked with it. */
export async function loadInstallationId(metadata: MetadataStore, newUuid: () => string): Promise<string> {
  return await metadata.transaction(async (tx) => {
    const known = await tx.settings.get(INSTALLATION);
    if (known !== null) return known;
    const installationId = newUuid();
    await tx.settings.set(INSTALLATION, installationId);
    return installationId;
  });
}

/** Whether the pool has never been marked: only then may a directory without a mark become it. */
export async function mayMarkPool(metadata: MetadataStore, poolName: string): Promise<boolean> {
  return await metadata.transaction(async (tx) => (await tx.settings.get(markedKey(poolName))) === null);
}

/** Remembers that the pool was marked, so that an empty directory in its place is not taken for it. */
export async function rememberPoolMark(metadata: MetadataStore, poolName: string): Promise<void> {
  await metadata.transaction((tx) => tx.settings.set(markedKey(poolName), 'true'));
}

/** Credentials of the first user. */
export interface Credentials {
  readonly userId: string;
  readonly key: string;
}

/** Keeps the first user's credentials where the operator finds them. */
export interface CredentialKeeper {
  keep(credentials: Credentials): void;
  /** They turned out to be nobody's. */
  forget(): void;
}

/**
 * Makes the first admin user when there is no user yet. Its credentials are kept before it exists: a crash in between
 * leaves credentials of nobody, which the next start replaces, and never a user whose key nobody has. Of nodes that start
 * at once one makes the user.
 *
 * @returns its credentials, or null when there are users already
 */
export async function createFirstUser(
  context: ServiceContext,
  given: Credentials | null,
  keeper: CredentialKeeper,
): Promise<Credentials | null> {
  const users = await context.metadata.users.list({ after: null, limit: 1 });
  if (users.length > 0) return null;
  const credentials = given ?? { userId: context.newUuid(), key: makeApiKey(context.randomBytes) };
  keeper.keep(credentials);
  if (await createOnlyUser(context, { name: 'admin', isAdmin: true }, credentials)) return credentials;
  keeper.forget();
  return null;
}
