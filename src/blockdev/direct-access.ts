import type { Maybe } from './block-device.ts';

/** A volume under the name that it has for programs which were given it by the claim of this epoch. */
export interface DirectName {
  readonly volumeName: string;
  readonly epoch: number;
}

/** Where such a program finds the volume. */
export interface DirectPlace {
  /** The pool's name in Ceph. */
  readonly cephPool: string;
  /** Null for the namespace without a name. */
  readonly namespace: string | null;
  /** The image's name, which is of use only under this claim. */
  readonly image: string;
  /** The monitors, as `mon_host` of Ceph's configuration; null where that is to say it. */
  readonly monitors: string | null;
}

/**
 * Volumes as programs use them that speak to the storage cluster themselves, past Drivebay. Such a program opens the
 * volume by a name that is there for one claim; once the name is gone, and those that have the volume open are kept out
 * of the cluster, nobody changes it any more who was given it by that claim.
 *
 * Errors: those of the operating system, unchanged. Every call can be repeated after a crash.
 */
export interface DirectAccess {
  /** Makes the name, and from now on lets one opening at a time write, which leaves its address in the cluster. */
  offer(name: DirectName): Maybe<DirectPlace>;
  /**
   * Takes the name away, and answers the addresses of all who have the volume open for writing, or have written last;
   * those of Drivebay's nodes included.
   */
  withdraw(name: DirectName): Maybe<readonly string[]>;
  /**
   * Keeps the clients at these addresses out of the cluster, but for those that are these nodes. When it returns, nothing
   * that they have under way changes what is read or written from now on. Answers how many they were.
   */
  keepOut(request: {
    readonly addresses: readonly string[];
    readonly exceptNodes: readonly string[];
  }): Maybe<number>;
  /** Lets all openings write again, beside each other. To be called once nobody but Drivebay has the volume open. */
  reclaim(volumeName: string): Maybe<void>;
}
