import { afterEach, beforeEach, describe } from 'vitest';
import { describeClaimQueries } from './describe-claim-queries.ts';
import { describeDriveLists } from './describe-drive-lists.ts';
import { describeDriveQueries } from './describe-drive-queries.ts';
import { describeImagingQueries } from './describe-imaging-queries.ts';
import { describeMoveQueries } from './describe-move-queries.ts';
import { describeNodeQueries } from './describe-node-queries.ts';
import { describeNoticeQueries } from './describe-notice-queries.ts';
import { describeTransactions } from './describe-transactions.ts';
import { describeUserQueries } from './describe-user-queries.ts';
import type { MetadataStore } from './metadata-store.ts';

/**
 * What every MetadataStore promises.
 *
 * @param open gives an empty store; it is closed after each test
 */
export function describeMetadataStore(name: string, open: () => Promise<MetadataStore>): void {
  describe(`MetadataStore: ${name}`, () => {
    let store: MetadataStore | null = null;
    beforeEach(async () => {
      store = await open();
    });
    afterEach(async () => {
      await store?.close();
    });
    function current(): MetadataStore {
      if (store === null) throw new Error('There is no store outside of a test.');
      return store;
    }
    describeTransactions(current);
    describeUserQueries(current);
    describeDriveQueries(current);
    describeDriveLists(current);
    describeImagingQueries(current);
    describeClaimQueries(current);
    describeMoveQueries(current);
    describeNodeQueries(current);
    describeNoticeQueries(current);
  });
}
