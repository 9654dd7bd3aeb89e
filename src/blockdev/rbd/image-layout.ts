// From rbd/features.h: clones, and snapshots that go when they are flattened.
const LAYERING = 1;
const DEEP_FLATTEN = 32;

/** What every image of Drivebay can do. */
export const IMAGE_FEATURES = LAYERING + DEEP_FLATTEN;
/** Objects of 4 MiB, which is what Ceph's own tools make. */
export const OBJECT_ORDER = 22;
