import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';

/** Files that take a minute or more, the longest first: begun last, one would be waited for alone. */
const LONG: readonly string[] = [
  'fault/kill.test.ts',
  'e2e/guest.test.ts',
  'e2e/many-drives.test.ts',
  'e2e/imaging.test.ts',
];

/** Begins with the files that take longest; Vitest knows them only from a run before. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const others = await super.sort(files);
    return others.toSorted((one, other) => rankOf(one) - rankOf(other));
  }
}

function rankOf({ moduleId }: TestSpecification): number {
  const rank = LONG.findIndex((path) => moduleId.endsWith(`/test/${path}`));
  return rank === -1 ? LONG.length : rank;
}
