import { hash, timingSafeEqual } from 'node:crypto';
import type { User } from '../core/user.ts';
import { isUuid } from '../core/uuid.ts';
import type { LoginThrottle } from './login-throttle.ts';
import type { ServiceContext } from './service-context.ts';

export interface Login {
  readonly userId: string;
  readonly key: string;
  readonly address: string;
}

/** Compared with when there is no such user, so that this takes as long. No key has this hash. */
const NO_HASH = Buffer.alloc(32);

/** The user whose key this is, or null; see `AccessService.authenticate`. */
export async function authenticate(
  context: Pick<ServiceContext, 'metadata'>,
  throttle: LoginThrottle,
  login: Login,
): Promise<User | null> {
  const found = await context.metadata.users.findWithKeyHash(isUuid(login.userId) ? login.userId : '');
  const isRight = timingSafeEqual(hashKey(login.key), found?.keyHash ?? NO_HASH);
  if (found !== null && isRight && !found.user.isDisabled) return found.user;
  await throttle.delayFailure(login);
  return null;
}

/** What is kept of an API key. Keys are random and long, so a plain hash cannot be searched for. */
export function hashKey(key: string): Buffer {
  return hash('sha256', key, 'buffer');
}
