import { expect, test } from 'vitest';
import { volumeOfImage, imageLocation, imageName } from './image-name.ts';

const DRIVE = 'ab0b0c0d-1111-4222-8333-444455556666';
const place = {
  cephPool: 'drives',
  namespace: null,
  user: 'drivebay',
  keyring: null,
  confFile: '/c',
  monitors: null,
};

test('a volume is known by the name of its image, and other images are not taken for volumes', () => {
  for (const volumeName of [DRIVE, `${DRIVE}.0001020304ff`])
    expect(volumeOfImage(imageName(volumeName))).toBe(volumeName);
  for (const name of [DRIVE, 'drivebay-notes', `x-drivebay-${DRIVE}`, `drivebay-${DRIVE}-old`])
    expect(volumeOfImage(name)).toBeNull();
});

test('what is no name of a volume never becomes the name of an image', () => {
  expect(() => imageName('../x')).toThrow(RangeError);
});

test('the place of an image is written as QEMU reads it', () => {
  expect(imageLocation(place, DRIVE)).toBe(`rbd:drives/drivebay-${DRIVE}:id=drivebay:conf=/c`);
  const far = { ...place, namespace: 'ns', confFile: null, monitors: '10.0.0.1:3300' };
  expect(imageLocation(far, DRIVE)).toBe(
    String.raw`rbd:drives/ns/drivebay-${DRIVE}:id=drivebay:mon_host=10.0.0.1\:3300`,
  );
});
