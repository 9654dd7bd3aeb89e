import { NO_DIGEST } from '../../src/core/body-digest.ts';
import type { User } from '../../src/core/user.ts';
import type { DriveDataService, Service } from '../../src/service/service.ts';

export const OWNER = '11111111-1111-4111-8111-111111111111';
export const ADMIN = '22222222-2222-4222-8222-222222222222';
export const DRIVE = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
export const OTHER = 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb';
export const KEY = 'SecretKey123';

/** A call that the fake has seen: the group's and the function's name, and the arguments. */
export interface SeenCall {
  readonly name: string;
  readonly args: readonly unknown[];
}

type Group = Readonly<Record<string, (...args: never[]) => unknown>>;
type Overrides = { readonly [Name in keyof Service]?: Partial<Service[Name]> };

/** A service without a mind of its own, which records its calls; a test gives the functions that it is about. */
export function fakeService(overrides: Overrides = {}): { service: Service; calls: SeenCall[] } {
  const calls: SeenCall[] = [];
  const record = <Methods extends object>(
    name: string,
    defaults: Methods,
    override: object = {},
  ): Methods => {
    const methods: Group = { ...(defaults as Group), ...(override as Group) };
    const entries = Object.entries(methods).map(([method, run]) => {
      const recorded = (...args: never[]): unknown => {
        calls.push({ name: `${name}.${method}`, args });
        return run(...args);
      };
      return [method, recorded];
    });
    return Object.fromEntries(entries) as Methods;
  };
  const service: Service = {
    access: record('access', ACCESS, overrides.access),
    drives: record('drives', DRIVES, overrides.drives),
    driveData: record('driveData', DRIVE_DATA, overrides.driveData),
    claims: record('claims', CLAIMS, overrides.claims),
    attachments: record('attachments', ATTACHMENTS, overrides.attachments),
    administration: record('administration', ADMINISTRATION, overrides.administration),
    masterKeys: record('masterKeys', MASTER_KEYS, overrides.masterKeys),
    health: record('health', { checkReady: async () => undefined }, overrides.health),
  };
  return { service, calls };
}

export function userOf(userId: string): User {
  return {
    userId,
    name: null,
    isAdmin: userId === ADMIN,
    isDisabled: false,
    quotaDrives: null,
    quotaBytes: null,
    createdAtMs: 0,
  };
}

export async function* pagesOf<Item>(
  ...pages: readonly (readonly Item[])[]
): AsyncGenerator<readonly Item[]> {
  yield* pages;
}

const INFO = { drive: DRIVE, name: 'root', user: OWNER, size: 4096, 'read:bytes': 17 };

const ACTIVITY = { drive: DRIVE, connections: '2', 'read:requests': '3', 'read:us': '1500' };

const ACCESS: Service['access'] = {
  authenticate: async ({ userId, key }) =>
    key === KEY && (userId === OWNER || userId === ADMIN) ? userOf(userId) : null,
};

const DRIVES: Service['drives'] = {
  create: async () => INFO,
  set: async () => INFO,
  destroy: async () => undefined,
  image: async () => undefined,
  info: async () => INFO,
  list: () => pagesOf([DRIVE, OTHER]),
  infos: () => pagesOf([INFO], [{ ...INFO, drive: OTHER }]),
  activity: () => pagesOf([ACTIVITY], [{ ...ACTIVITY, drive: OTHER }]),
};

const DRIVE_DATA: DriveDataService = {
  read: async (_actor, _drive, { lengthBytes }) => ({
    digest: NO_DIGEST,
    sentBytes: null,
    pieces: (async function* () {
      yield { bytes: Buffer.alloc(lengthBytes, 7), release: () => undefined };
    })(),
  }),
  write: async (_actor, _drive, { body }) => {
    for await (const chunk of body.chunks()) void chunk;
  },
  map: () =>
    pagesOf([
      { offsetBytes: 0, lengthBytes: 4194304, isZero: true },
      { offsetBytes: 4194304, lengthBytes: 512, isZero: false, sha256: 'ab'.repeat(32) },
    ]),
};

const CLAIM = { drive: DRIVE, server: OTHER, access: 'rw', epoch: '7' };

const CLAIMS: Service['claims'] = {
  claim: async () => ({ ...CLAIM, 'attach:tcp': 'nbd://127.0.0.1:10809/secret' }),
  release: async () => undefined,
  renew: async () => CLAIM,
  list: async () => [CLAIM, { ...CLAIM, server: OWNER, epoch: '8' }],
};

const ATTACHMENTS: Service['attachments'] = {
  serve: async () => 'disconnected',
  resolve: async () => null,
  isCurrent: async () => false,
};

const USER_INFO = { user: OWNER, name: 'ann', 'quota:drives': 3 };

const ADMINISTRATION: Service['administration'] = {
  createUser: async () => ({ ...USER_INFO, key: 'NewKey' }),
  setUser: async () => USER_INFO,
  rotateUserKey: async () => ({ ...USER_INFO, key: 'NewKey' }),
  userInfo: async () => USER_INFO,
  userInfos: () => pagesOf([USER_INFO], [{ ...USER_INFO, user: ADMIN }]),
  nodeInfos: async () => [{ node: 'n1', state: 'up' }],
  poolInfos: async () => [{ pool: 'default', domain: 'here' }],
  setDriveLimits: async () => INFO,
  moveDrive: async () => INFO,
  cancelMove: async () => INFO,
  driveInfo: async () => INFO,
  driveInfos: () => pagesOf([INFO]),
  activity: () => pagesOf([{ ...ACTIVITY, user: OTHER }]),
};

const MASTER_KEYS: Service['masterKeys'] = {
  exportKey: async () => ({ drive: DRIVE, passphrase: 'p' }),
  rotate: async () => ({ 'master-key': 'k2', drives: 1 }),
};
