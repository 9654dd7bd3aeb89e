import { DriveError } from '../core/errors.ts';
import type { Usage, User } from '../core/user.ts';
import { isUuid } from '../core/uuid.ts';
import type { UserReader } from '../metadata/metadata-store.ts';
import { hashKey } from './authenticate.ts';
import { randomWord } from './drive-secrets.ts';
import { LIST_PAGE_DRIVES } from './limits.ts';
import type { CreateUserInput, Info, SetUserInput } from './service.ts';
import type { ServiceContext } from './service-context.ts';

/** Letters and digits of a new API key: 238 bits. */
const KEY_LENGTH = 40;

/** A new API key. */
export function makeApiKey(randomBytes: ServiceContext['randomBytes']): string {
  return randomWord(randomBytes, KEY_LENGTH);
}

/** Creates a user; the answer holds the key, which is not kept and cannot be shown again. */
export async function createUser(context: ServiceContext, input: CreateUserInput): Promise<Info> {
  const { userId, key } = { userId: context.newUuid(), key: makeApiKey(context.randomBytes) };
  const user = newUser(context, input, userId);
  await context.metadata.transaction((tx) => tx.users.insert(user, hashKey(key)));
  return { ...describeUser(user, { drives: 0, sizeBytes: 0 }), key };
}

/** Creates a user with these credentials unless there is any. @returns whether it has */
export async function createOnlyUser(
  context: ServiceContext,
  input: CreateUserInput,
  { userId, key }: { userId: string; key: string },
): Promise<boolean> {
  return await context.metadata.transaction(async (tx) => {
    if ((await tx.users.list({ after: null, limit: 1 })).length > 0) return false;
    await tx.users.insert(newUser(context, input, userId), hashKey(key));
    return true;
  });
}

function newUser({ now }: ServiceContext, input: CreateUserInput, userId: string): User {
  return {
    userId,
    name: input.name === undefined || input.name === '' ? null : input.name,
    isAdmin: input.isAdmin ?? false,
    isDisabled: false,
    quotaDrives: input.quotaDrives ?? null,
    quotaBytes: input.quotaBytes ?? null,
    createdAtMs: now(),
  };
}

/** Changes what is given of a user. The last admin user who is not disabled stays one. */
export async function setUser(
  context: ServiceContext,
  actor: User,
  userId: string,
  input: SetUserInput,
): Promise<Info> {
  return await context.metadata.transaction(async (tx) => {
    const user = await findUser(tx.users, userId);
    const after: User = {
      ...user,
      name: input.name === undefined ? user.name : input.name,
      isAdmin: input.isAdmin ?? user.isAdmin,
      isDisabled: input.isDisabled ?? user.isDisabled,
      quotaDrives: input.quotaDrives === undefined ? user.quotaDrives : input.quotaDrives,
      quotaBytes: input.quotaBytes === undefined ? user.quotaBytes : input.quotaBytes,
    };
    if (userId === actor.userId && (!after.isAdmin || after.isDisabled)) {
      throw new DriveError('usage', 'An admin user cannot disable itself or give up its own administration.');
    }
    await tx.users.update(after);
    return describeUser(after, await tx.users.usage(userId));
  });
}

/** Gives a user a new key; the old one is dead when this returns. */
export async function rotateUserKey(context: ServiceContext, userId: string): Promise<Info> {
  const key = makeApiKey(context.randomBytes);
  return await context.metadata.transaction(async (tx) => {
    const user = await findUser(tx.users, userId);
    await tx.users.updateKeyHash(userId, hashKey(key));
    return { ...describeUser(user, await tx.users.usage(userId)), key };
  });
}

export async function showUser(context: ServiceContext, userId: string): Promise<Info> {
  const user = await findUser(context.metadata.users, userId);
  return describeUser(user, await context.metadata.users.usage(userId));
}

/** Pages of user info. */
export async function* listUsers(context: ServiceContext): AsyncGenerator<readonly Info[]> {
  for (let after: string | null = null; ;) {
    const page: readonly User[] = await context.metadata.users.list({ after, limit: LIST_PAGE_DRIVES });
    after = page.at(-1)?.userId ?? null;
    if (after === null) return;
    const infos: Info[] = [];
    for (const user of page) infos.push(describeUser(user, await context.metadata.users.usage(user.userId)));
    yield infos;
  }
}

async function findUser(users: UserReader, userId: string): Promise<User> {
  const user = isUuid(userId) ? await users.find(userId) : null;
  if (user === null) throw new DriveError('missing', `User ${userId} could not be found.`, { user: userId });
  return user;
}

function describeUser(user: User, usage: Usage): Info {
  const info: Record<string, string | null> = {
    user: user.userId,
    name: user.name,
    admin: user.isAdmin ? 'true' : null,
    disabled: user.isDisabled ? 'true' : null,
    'quota:drives': user.quotaDrives === null ? null : String(user.quotaDrives),
    'quota:bytes': user.quotaBytes === null ? null : String(user.quotaBytes),
    'used:drives': String(usage.drives),
    'used:bytes': String(usage.sizeBytes),
  };
  return Object.fromEntries(
    Object.entries(info).filter((pair): pair is [string, string] => pair[1] !== null),
  );
}
