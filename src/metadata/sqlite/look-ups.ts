import type { Readers } from '../queries/store-queries.ts';

/** Answers that are remembered at most. */
const MAX_REMEMBERED = 10_000;

/**
 * Remembers what look-ups found until the next commit, because each one is a trip to another thread, and every request
 * makes several.
 */
export class LookUps {
  #found = new Map<string, Promise<unknown>>();

  /** What `lookUp` finds under this key, or has found since the last commit. */
  find<Found>(key: string, lookUp: () => Promise<Found>): Promise<Found> {
    const known = this.#found.get(key);
    // The key says which look-up it is, and so what it finds.
    if (known !== undefined) return known as Promise<Found>;
    if (this.#found.size >= MAX_REMEMBERED) this.forget();
    const found = this.#found;
    const finding = lookUp();
    found.set(key, finding);
    finding.catch(() => found.delete(key));
    return finding;
  }

  /**
   * To be called when a commit has ended, before anybody is told of it. Look-ups that are under way may have missed it:
   * who asks from now on does not share them.
   */
  forget(): void {
    this.#found = new Map();
  }
}

/** The same readers, whose look-ups that come with every request are remembered. */
export function rememberingReaders(readers: Readers, lookUps: LookUps): Readers {
  const { users, drives, imaging, claims, moves } = readers;
  return {
    ...readers,
    users: {
      ...users,
      findWithKeyHash: (userId) => lookUps.find(`user ${userId}`, () => users.findWithKeyHash(userId)),
    },
    drives: {
      ...drives,
      find: (driveId) => lookUps.find(`drive ${driveId}`, () => drives.find(driveId)),
    },
    imaging: {
      ...imaging,
      listTouching: (driveIds) => ofOne(driveIds, lookUps, 'imaging', () => imaging.listTouching(driveIds)),
    },
    claims: {
      ...claims,
      list: (driveIds) => ofOne(driveIds, lookUps, 'claims', () => claims.list(driveIds)),
    },
    moves: {
      ...moves,
      list: (driveIds) => ofOne(driveIds, lookUps, 'moves', () => moves.list(driveIds)),
    },
  };
}

/** What is asked of a page of drives is not asked again. */
function ofOne<Found>(
  driveIds: readonly string[],
  lookUps: LookUps,
  kind: 'imaging' | 'claims' | 'moves',
  lookUp: () => Promise<Found>,
): Promise<Found> {
  const [driveId] = driveIds;
  return driveIds.length === 1 ? lookUps.find(`${kind} ${driveId}`, lookUp) : lookUp();
}
