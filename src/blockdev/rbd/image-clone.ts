import { driveOfVolume } from '../../core/volume-name.ts';
import { isSystemError } from '../system-error.ts';
import type { CloneRequest } from '../storage-pool.ts';
import { imageName } from './image-name.ts';
import { removeImage } from './image-removal.ts';
import type { RemovalCalls } from './image-removal.ts';
import type { IoContext } from './librados.ts';
import type { Image } from './librbd.ts';
import { leftSnapshots } from './own-snapshots.ts';

/**
 * A clone of a clone, and so on, at most: every read of what was never written looks into one image after the other. The next
 * one is to be a copy, which begins anew.
 */
export const MAX_CLONE_DEPTH = 8;
/** How many images a clone stands on, as it was when it was made. */
const DEPTH_NOTE = 'drivebay-depth';
/** Of a cluster or an image that clones cannot be made in or of; ENOSYS and EOPNOTSUPP are those of old OSDs. */
const REFUSALS = ['EINVAL', 'ENOSYS', 'EOPNOTSUPP', 'EPERM', 'EACCES'] as const;

/**
 * Makes an image that shares the blocks of another one; there is none of its name.
 *
 * @returns why that cannot be, and then there is none still; null when it is made
 */
export function cloneImage(calls: RemovalCalls, pool: IoContext, request: CloneRequest): string | null {
  const { librbd } = calls;
  const source = librbd.open(pool, imageName(request.source), 'read-write');
  try {
    const depth = depthOf(calls, source);
    if (depth >= MAX_CLONE_DEPTH) return `the source is a clone of a clone, ${depth} deep`;
    removeEarlier(calls, { pool, source }, imageName(driveOfVolume(request.target)));
    const refusal = makeClone(calls, { pool, source }, request);
    if (refusal === null) finishClone(calls, pool, { ...request, depth: depth + 1 });
    return refusal;
  } finally {
    librbd.close(source);
  }
}

/** By way of a snapshot, which Ceph keeps out of sight from then on until its last clone is gone. */
function makeClone(
  { snapshots }: RemovalCalls,
  { pool, source }: { pool: IoContext; source: Image },
  request: CloneRequest,
): string | null {
  const targetName = imageName(request.target);
  snapshots.create(source, targetName);
  try {
    snapshots.clone(pool, { image: imageName(request.source), snapshot: targetName }, targetName);
    return null;
  } catch (error) {
    if (!isSystemError(error, ...REFUSALS)) throw error;
    return `Ceph refuses to clone the source (${error.message})`;
  } finally {
    snapshots.remove(source, targetName);
  }
}

/** Removes what earlier attempts for the same drive have left: a clone, which needs its snapshot for that, before the snapshot. */
function removeEarlier(
  calls: RemovalCalls,
  { pool, source }: { pool: IoContext; source: Image },
  prefix: string,
): void {
  for (const name of leftSnapshots(calls.snapshots, source, prefix)) {
    removeImage(calls, pool, name);
    calls.snapshots.remove(source, name);
  }
}

function finishClone(
  { librbd, snapshots }: RemovalCalls,
  pool: IoContext,
  { target, sizeBytes, depth }: CloneRequest & { depth: number },
): void {
  const image = librbd.open(pool, imageName(target), 'read-write');
  try {
    snapshots.setNote(image, DEPTH_NOTE, String(depth));
    if (librbd.sizeOf(image) !== sizeBytes) librbd.resize(image, sizeBytes);
  } finally {
    librbd.close(image);
  }
}

function depthOf({ snapshots }: RemovalCalls, image: Image): number {
  if (snapshots.overlapBytes(image) === 0) return 0;
  return Number(snapshots.note(image, DEPTH_NOTE) ?? MAX_CLONE_DEPTH);
}
