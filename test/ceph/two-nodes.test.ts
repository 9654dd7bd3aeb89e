import { afterAll, describe } from 'vitest';
// Here, so that its PostgreSQL ends with this file: imported first by one of the parts, it would end with that one, and be started again for the next.
import '../helpers/test-metadata.ts';

// A part of what `npm run test:two-nodes` runs: end-to-end tests where each server is two nodes over one PostgreSQL and one
// pool in Ceph, and each request goes to either.

process.env['DRIVEBAY_TEST_NODES'] = '2';
afterAll(() => {
  delete process.env['DRIVEBAY_TEST_NODES'];
});

describe('drives of two nodes', async () => {
  await import('../e2e/drives.test.ts');
});
describe('claims of two nodes', async () => {
  await import('../e2e/claims.test.ts');
});
