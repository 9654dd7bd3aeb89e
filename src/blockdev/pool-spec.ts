/** A pool as a thread needs to know it. */
export type PoolSpec = FilePoolSpec | RbdPoolSpec;

/** A pool whose volumes are files of a directory. */
export interface FilePoolSpec {
  readonly kind: 'file';
  readonly name: string;
  readonly directory: string;
}

/** Where the images of a pool are. */
export interface RbdPlace {
  /** The pool's name in Ceph. */
  readonly cephPool: string;
  /** Null for the namespace without a name. */
  readonly namespace: string | null;
  /** The user as whom Ceph is used, without `client.`. */
  readonly user: string;
  /** The keyring with the user's key; null for where the configuration says it is. */
  readonly keyring: string | null;
  /** Ceph's own configuration; null where the monitors are given instead. */
  readonly confFile: string | null;
  /** The monitors, as `mon_host` of that configuration. */
  readonly monitors: string | null;
}

/** A pool whose volumes are RBD images in a Ceph cluster. */
export interface RbdPoolSpec extends RbdPlace {
  readonly kind: 'rbd';
  readonly name: string;
  /** The node that this process is; others know it by this when they have to keep it from writing. */
  readonly nodeId: string;
  /** The connection to the cluster that all threads share, of `RBD_CONNECTION_BYTES`. */
  readonly connection: SharedArrayBuffer;
  /** Counts the lives of the process, for all its pools together; see `poolLife`. */
  readonly lives: SharedArrayBuffer;
}
