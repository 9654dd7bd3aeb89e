import { expect, test } from 'vitest';
import { OpenVolumes } from './open-volumes.ts';

interface ScratchVolume {
  close(): void;
}

function scratchVolume(): { volume: ScratchVolume; closings: () => number } {
  let closings = 0;
  const close = (): void => void (closings += 1);
  return { volume: { close }, closings: () => closings };
}

test('a volume is closed once, at once when nobody works on it', async () => {
  const volumes = new OpenVolumes<ScratchVolume>();
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
  const volumes = new OpenVolumes<ScratchVolume>();
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
