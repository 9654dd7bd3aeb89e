import { availableParallelism } from 'node:os';
import type { RbdPlace, RbdPoolSpec } from '../pool-spec.ts';
import { isSystemError, systemError } from '../system-error.ts';
import { loadLibrados } from './librados.ts';
import type { Cluster, IoContext, Librados } from './librados.ts';

/** What a connection takes in shared memory: the addresses of the cluster and of the pool, 0 while there are none. */
export const RBD_CONNECTION_BYTES = 16;
const CLUSTER = 0;
const POOL = 1;

/** How long the monitors may take to answer. */
const MONITOR_TIMEOUT_SECONDS = 5;
/**
 * What is faster than Ceph's own defaults, unless its configuration file says otherwise. To wake up a thread costs more than
 * a small request does, so Ceph has no more of them than half the processors; one read of a socket takes in all answers
 * that have come.
 */
const FAST_SETTINGS: Readonly<Record<string, string>> = {
  ms_async_op_threads: String(threadsOutOf(3)),
  librados_thread_count: String(threadsOutOf(2)),
  ms_tcp_prefetch_max_size: String(64 * 1024),
};
/** What differs from Ceph's own defaults, and from what its configuration says. */
const SETTINGS: Readonly<Record<string, string>> = {
  client_mount_timeout: String(MONITOR_TIMEOUT_SECONDS),
  rados_mon_op_timeout: String(MONITOR_TIMEOUT_SECONDS),
  // All threads must see at once what one of them has written.
  rbd_cache: 'false',
  // Guests merge small writes themselves; to look for some in every request costs a tenth of the small ones.
  rbd_io_scheduler: 'none',
  // Without a copy, a write that fails before it is sent is never complete (Ceph 16).
  rbd_disable_zero_copy_writes: 'true',
  // Errors are told by Drivebay, where its operator looks.
  log_to_stderr: 'false',
  log_file: '',
  admin_socket: '',
};

/** A connection that has been made, by its addresses. */
export interface RbdHandles {
  readonly cluster: Cluster;
  readonly pool: IoContext;
}

/**
 * The connection of the process to a pool's cluster. One thread at a time makes it; all threads use it from then on, until
 * the process ends or the cluster keeps it out.
 */
export class RbdConnection {
  readonly #spec: RbdPoolSpec;
  readonly #words: BigUint64Array;
  #rados: Librados | null = null;

  constructor(spec: RbdPoolSpec) {
    this.#spec = spec;
    this.#words = new BigUint64Array(spec.connection);
  }

  /** Throws like `loadLibrados`. */
  get rados(): Librados {
    this.#rados ??= loadLibrados();
    return this.#rados;
  }

  /** Null while there is no connection. */
  get current(): RbdHandles | null {
    const [cluster, pool] = [CLUSTER, POOL].map((word) => Number(Atomics.load(this.#words, word)));
    return cluster === undefined || pool === undefined || pool === 0 ? null : { cluster, pool };
  }

  /** Throws an error with code ENOTCONN while there is no connection. */
  get cluster(): Cluster {
    return this.#handles.cluster;
  }

  /** Throws an error with code ENOTCONN while there is no connection. */
  get pool(): IoContext {
    return this.#handles.pool;
  }

  /** Connects, for this thread alone at first; answers why it cannot, in a sentence with what to do. */
  connect(): RbdHandles | string {
    let step: Step = 'library';
    let cluster: Cluster | null = null;
    try {
      const { rados } = this;
      step = 'settings';
      cluster = this.#configured(rados);
      step = 'monitors';
      rados.connect(cluster);
      step = 'pool';
      return { cluster, pool: rados.openPool(cluster, this.#spec) };
    } catch (error) {
      if (cluster !== null) this.rados.shutDown(cluster);
      return `Pool ${this.#spec.name}: ${reasonOf(error, step, this.#spec)}`;
    }
  }

  /** Has all threads use a connection from now on; null for none. Whatever the last one is used for goes on. */
  publish(handles: RbdHandles | null): void {
    Atomics.store(this.#words, CLUSTER, BigInt(handles?.cluster ?? 0));
    Atomics.store(this.#words, POOL, BigInt(handles?.pool ?? 0));
  }

  get #handles(): RbdHandles {
    const { current } = this;
    if (current !== null) return current;
    throw systemError('ENOTCONN', 'rados_connect', 'the Ceph cluster is not connected');
  }

  #configured(rados: Librados): Cluster {
    const { user, confFile, keyring, monitors } = this.#spec;
    const cluster = rados.create(`client.${user}`);
    try {
      const fast = Object.entries(FAST_SETTINGS);
      const defaults = fast.map(([option]) => rados.configured(cluster, option));
      if (confFile !== null) rados.readConf(cluster, confFile);
      for (const [index, [option, value]] of fast.entries()) {
        if (rados.configured(cluster, option) === defaults[index]) rados.configure(cluster, option, value);
      }
      const given = { ...SETTINGS, keyring, mon_host: monitors };
      for (const [option, value] of Object.entries(given)) {
        if (value !== null) rados.configure(cluster, option, value);
      }
      return cluster;
    } catch (error) {
      rados.shutDown(cluster);
      throw error;
    }
  }
}

/** What Ceph has by default, or fewer. */
function threadsOutOf(byDefault: number): number {
  return Math.max(1, Math.min(byDefault, Math.floor(availableParallelism() / 2)));
}

type Step = 'library' | 'settings' | 'monitors' | 'pool';

/** What went wrong and what to do. Anything but what the system says of it is a mistake, and thrown on. */
function reasonOf(error: unknown, step: Step, place: RbdPlace): string {
  if (!(error instanceof Error) || !('code' in error)) throw error;
  const { cephPool, user, confFile, keyring, monitors } = place;
  switch (step) {
    case 'library':
      return `${error.message}. Install Ceph's client libraries (Debian: apt-get install librbd1) and start Drivebay again.`;
    case 'settings':
      return `the Ceph configuration ${confFile ?? ''} cannot be used (${String(error.code)}). Correct conf, or name the monitors with mon_host.`;
    case 'monitors': {
      if (isSystemError(error, 'EACCES', 'EPERM', 'ENOENT', 'EINVAL')) {
        const where = keyring ?? 'its keyring';
        return `Ceph does not accept user client.${user} (${String(error.code)}). Look whether the user exists (ceph auth get client.${user}), and whether its key is in ${where} and can be read.`;
      }
      const at = monitors ?? `those in ${confFile ?? 'no file'}`;
      return `no monitor of the Ceph cluster answers (${String(error.code)}); tried ${at}. Look at the cluster (ceph -s) and at the network; the pool comes back by itself.`;
    }
    case 'pool':
      return isSystemError(error, 'ENOENT')
        ? `the Ceph cluster has no pool ${cephPool}. Make it (ceph osd pool create ${cephPool}; rbd pool init ${cephPool}), or correct its name.`
        : `the Ceph pool ${cephPool} cannot be opened (${String(error.code)}).`;
  }
}
