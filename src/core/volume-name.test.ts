import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { driveOfVolume, isVolumeName, newVolumeName } from './volume-name.ts';

const DRIVE = 'ab0b0c0d-1111-4222-8333-444455556666';

test('the first volume of a drive is named by its UUID, and each later one has a name of its own', () => {
  const later = newVolumeName(DRIVE, () => new Uint8Array([0, 1, 2, 3, 4, 255]));
  expect(later).toBe(`${DRIVE}.0001020304ff`);
  expect([DRIVE, later].map(isVolumeName)).toEqual([true, true]);
  expect([DRIVE, later].map(driveOfVolume)).toEqual([DRIVE, DRIVE]);
  expect(newVolumeName(DRIVE, randomBytes)).not.toBe(newVolumeName(DRIVE, randomBytes));
});

test('what could be a path, or is no name of a volume, is not taken for one', () => {
  for (const text of [
    '',
    '..',
    `${DRIVE}.`,
    `${DRIVE}.1`,
    `${DRIVE}/0001020304ff`,
    `${DRIVE}.0001020304ff.0`,
  ])
    expect(isVolumeName(text)).toBe(false);
});
