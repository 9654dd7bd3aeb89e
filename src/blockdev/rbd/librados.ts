import koffi from 'koffi';
import { loadCephLibrary } from './ceph-library.ts';
import { checkedRados } from './rados-error.ts';

/** A connection to a cluster, by its address in the process; all threads may use it. */
export type Cluster = number;
/** A pool and a namespace of a cluster, by its address in the process; all threads may use it. */
export type IoContext = number;

/** What is needed of librados. Errors are those of the operating system, with the name of the call. */
export interface Librados {
  /** Makes a connection that is not connected yet, for a user such as `client.drivebay`. */
  create(user: string): Cluster;
  readConf(cluster: Cluster, path: string): void;
  configure(cluster: Cluster, option: string, value: string): void;
  /** What an option is set to. */
  configured(cluster: Cluster, option: string): string;
  connect(cluster: Cluster): void;
  /** Ends a connection, with nothing under way. */
  shutDown(cluster: Cluster): void;
  openPool(
    cluster: Cluster,
    place: { readonly cephPool: string; readonly namespace: string | null },
  ): IoContext;
  /** The bytes of an object, at most `maxBytes`; null when there is none. */
  readObject(pool: IoContext, name: string, maxBytes: number): Uint8Array | null;
  writeObject(pool: IoContext, name: string, bytes: Uint8Array): void;
  /** Nothing happens when there is none. */
  removeObject(pool: IoContext, name: string): void;
  /** Where the connection comes from, as `blocklist` takes it. */
  addressOf(cluster: Cluster): string;
  /** Keeps another connection from everything in the cluster for a time, whatever it has under way. */
  blocklist(cluster: Cluster, address: string, seconds: number): void;
  /** Has the monitors do a command, and answers what they say. */
  command(cluster: Cluster, command: Readonly<Record<string, string>>): string;
}

/** What Ceph calls the first cluster that it knows, which is the one whose files have its name. */
const CLUSTER_NAME = 'ceph';
/** More than what is asked for takes. */
const MAX_SETTING_BYTES = 64;

/** Binds librados. Throws like `loadCephLibrary`. */
export function loadLibrados(): Librados {
  const calls = bindCalls();
  const done = checkedRados;
  return {
    create(user) {
      const cluster = new BigUint64Array(1);
      done('rados_create', calls.create(cluster, CLUSTER_NAME, user, 0));
      return Number(cluster[0]);
    },
    readConf: (cluster, path) => void done('rados_conf_read_file', calls.readConf(cluster, path)),
    configure: (cluster, option, value) =>
      void done('rados_conf_set', calls.configure(cluster, option, value)),
    configured(cluster, option) {
      const text = Buffer.alloc(MAX_SETTING_BYTES);
      done('rados_conf_get', calls.configured(cluster, option, text, text.byteLength));
      return text.toString('utf8', 0, text.indexOf(0));
    },
    connect: (cluster) => void done('rados_connect', calls.connect(cluster)),
    shutDown: (cluster) => void calls.shutDown(cluster),
    openPool(cluster, { cephPool, namespace }) {
      const pool = new BigUint64Array(1);
      done('rados_ioctx_create', calls.openPool(cluster, cephPool, pool));
      const context = Number(pool[0]);
      if (namespace !== null) calls.setNamespace(context, namespace);
      // A full pool says so, instead of letting writers wait until there is room.
      calls.setFullTry(context);
      return context;
    },
    readObject(pool, name, maxBytes) {
      const bytes = new Uint8Array(maxBytes);
      const length = done('rados_read', calls.read(pool, name, bytes, maxBytes, 0), 'ENOENT');
      return length < 0 ? null : bytes.subarray(0, length);
    },
    writeObject: (pool, name, bytes) =>
      void done('rados_write_full', calls.writeFull(pool, name, bytes, bytes.byteLength)),
    removeObject: (pool, name) => void done('rados_remove', calls.remove(pool, name), 'ENOENT'),
    addressOf(cluster) {
      const address = new BigUint64Array(1);
      done('rados_getaddrs', calls.addresses(cluster, address));
      const text = String(koffi.decode(address, 'const char *'));
      calls.free(Number(address[0]));
      return text;
    },
    blocklist(cluster, address, seconds) {
      done('rados_blocklist_add', calls.blocklist(cluster, address, seconds));
      // What is asked of the cluster from now on carries the news with it.
      done('rados_wait_for_latest_osdmap', calls.waitForMap(cluster));
    },
    command: (cluster, command) => runCommand(calls, cluster, command),
  };
}

type Call = (...args: readonly unknown[]) => number;
type Calls = ReturnType<typeof bindCalls>;

function bindCalls(): Readonly<
  Record<
    | 'create'
    | 'readConf'
    | 'configure'
    | 'configured'
    | 'connect'
    | 'shutDown'
    | 'openPool'
    | 'setNamespace'
    | 'setFullTry'
    | 'read'
    | 'writeFull'
    | 'remove'
    | 'addresses'
    | 'blocklist'
    | 'waitForMap'
    | 'command'
    | 'free',
    Call
  >
> {
  const lib = loadCephLibrary('librados.so.2');
  return {
    create: lib.func('int rados_create2(void *, const char *, const char *, uint64_t)'),
    readConf: lib.func('int rados_conf_read_file(uintptr_t, const char *)'),
    configure: lib.func('int rados_conf_set(uintptr_t, const char *, const char *)'),
    configured: lib.func('int rados_conf_get(uintptr_t, const char *, void *, size_t)'),
    connect: lib.func('int rados_connect(uintptr_t)'),
    shutDown: lib.func('void rados_shutdown(uintptr_t)'),
    openPool: lib.func('int rados_ioctx_create(uintptr_t, const char *, void *)'),
    setNamespace: lib.func('void rados_ioctx_set_namespace(uintptr_t, const char *)'),
    setFullTry: lib.func('void rados_set_pool_full_try(uintptr_t)'),
    read: lib.func('int rados_read(uintptr_t, const char *, void *, size_t, uint64_t)'),
    writeFull: lib.func('int rados_write_full(uintptr_t, const char *, void *, size_t)'),
    remove: lib.func('int rados_remove(uintptr_t, const char *)'),
    addresses: lib.func('int rados_getaddrs(uintptr_t, void *)'),
    blocklist: lib.func('int rados_blocklist_add(uintptr_t, const char *, uint32_t)'),
    waitForMap: lib.func('int rados_wait_for_latest_osdmap(uintptr_t)'),
    command: lib.func(
      'int rados_mon_command(uintptr_t, void *, size_t, const char *, size_t, void *, void *, void *, void *)',
    ),
    free: lib.func('void rados_buffer_free(uintptr_t)'),
  };
}

function runCommand(calls: Calls, cluster: Cluster, command: Readonly<Record<string, string>>): string {
  const text = Buffer.from(`${JSON.stringify(command)}\0`);
  const commands = new BigUint64Array([BigInt(koffi.address(text))]);
  const [output, status] = [new BigUint64Array(2), new BigUint64Array(2)];
  const lengthOf = (words: BigUint64Array): BigUint64Array => words.subarray(1);
  const result = calls.command(
    cluster,
    commands,
    1,
    '',
    0,
    output,
    lengthOf(output),
    status,
    lengthOf(status),
  );
  try {
    checkedRados('rados_mon_command', result);
    const [address = 0n, lengthBytes = 0n] = output;
    if (address === 0n) return '';
    return Buffer.from(koffi.view(address, Number(lengthBytes))).toString('utf8');
  } finally {
    for (const [address = 0n] of [output, status]) if (address !== 0n) calls.free(Number(address));
  }
}
