import { isUuid } from './uuid.ts';

// A drive's bytes are a volume in a pool. Its first volume is named by the drive's UUID. Each one that it is given later, made
// by sharing another drive's blocks, has a name of its own, so that whoever still knows an earlier one never takes the one
// for the other, and none is removed in the place of another.

const SUFFIX = /^[0-9a-f]{12}$/;

/** Whether the text names a volume: a drive's UUID, alone or followed by a dot and twelve hex digits. */
export function isVolumeName(text: string): boolean {
  const [driveId = '', suffix, ...rest] = text.split('.');
  return isUuid(driveId) && (suffix === undefined || SUFFIX.test(suffix)) && rest.length === 0;
}

/** The drive that a volume is, or was, or was to be. */
export function driveOfVolume(volumeName: string): string {
  const [driveId = ''] = volumeName.split('.');
  return driveId;
}

/** A name that no volume has had. */
export function newVolumeName(driveId: string, random: (lengthBytes: number) => Uint8Array): string {
  return `${driveId}.${Buffer.from(random(6)).toString('hex')}`;
}
