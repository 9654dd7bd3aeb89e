import { expect, test } from 'vitest';
import type { Volume } from '../blockdev/luks-volume.ts';
import { OpenVolumes } from './open-volumes.ts';

function scratchVolume(): { volume: Volume; closings: () => number } {
  let closings = 0;
  const volume = { close: () => void (closings += 1) } as unknown as Volume;
  return { volume, closings: () => closings };
}

test('a volume is closed once, at once when nobody works on it', async () => {
  const volumes = new OpenVolumes();
  const { volume, closings } = scratchVolume();
  await volumes.put('a', volume);
  await volumes.use('a', () => Promise.resolve());
  expect(closings()).toBe(0);
  await volumes.close('a');
  await volumes.close('a');
  expect(closings()).toBe(1);
  await expect(volumes.use('a', () => Promise.resolve())).rejects.toThrow('not open');
});

test('a volume that is closed or opened anew stays open for work that goes on', async () => {
  const volumes = new OpenVolumes();
  const [before, after] = [scratchVolume(), scratchVolume()];
  await volumes.put('a', before.volume);
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const work = volumes.use('a', () => promise);
  await volumes.put('a', after.volume);
  expect(before.closings()).toBe(0);
  await volumes.use('a', (volume) => Promise.resolve(expect(volume).toBe(after.volume)));
  resolve(undefined);
  await work;
  expect([before.closings(), after.closings()]).toEqual([1, 0]);
});
