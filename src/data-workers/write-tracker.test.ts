import { expect, test } from 'vitest';
import { createWriteTracker } from './write-tracker.ts';

test('quiescing waits for the writes under way and not for later ones', async () => {
  const tracker = createWriteTracker();
  const end = tracker.begin('drive');
  let isQuiet = false;
  const quiet = tracker.quiesce('drive').then(() => {
    isQuiet = true;
  });
  const endLater = tracker.begin('drive');
  await tracker.quiesce('other');
  expect(isQuiet).toBe(false);
  end();
  await quiet;
  endLater();
});
