import { afterEach, beforeEach, expect, test } from 'vitest';
import { createScratchService } from '../../test/helpers/scratch-service.ts';
import type { ScratchService } from '../../test/helpers/scratch-service.ts';
import { createFirstUser } from './start-up.ts';
import type { CredentialKeeper, Credentials } from './start-up.ts';

let scratch: ScratchService;

beforeEach(async () => {
  scratch = await createScratchService();
});

afterEach(() => scratch[Symbol.asyncDispose]());

/** A place for the credentials of one node. */
function scratchKeeper(): CredentialKeeper & { kept: Credentials | null } {
  return {
    kept: null,
    keep(credentials) {
      this.kept = credentials;
    },
    forget() {
      this.kept = null;
    },
  };
}

async function userIds(): Promise<readonly string[]> {
  return (await scratch.context.metadata.users.list({ after: null, limit: 9 })).map(({ userId }) => userId);
}

test('the first user is made once, with the credentials that are kept', async () => {
  const keeper = scratchKeeper();
  const made = await createFirstUser(scratch.context, null, keeper);
  expect(keeper.kept).toEqual(made);
  expect(await userIds()).toEqual([made?.userId]);
  const later = scratchKeeper();
  expect(await createFirstUser(scratch.context, null, later)).toBeNull();
  expect(later.kept).toBeNull();
});

test.each([
  ['of their own', null],
  ['that were given', { userId: '11111111-1111-4111-8111-111111111111', key: 'AdminKey1234567890123456' }],
])(
  'of nodes that start at once with credentials %s one makes the user, and no other keeps any',
  async (_what, given) => {
    const keepers = Array.from({ length: 5 }, scratchKeeper);
    const made = await Promise.all(keepers.map((keeper) => createFirstUser(scratch.context, given, keeper)));
    const winners = made.filter((each) => each !== null);
    expect(winners).toHaveLength(1);
    expect(keepers.map(({ kept }) => kept).filter((each) => each !== null)).toEqual(winners);
    expect(await userIds()).toEqual(winners.map(({ userId }) => userId));
  },
);
