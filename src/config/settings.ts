import { join } from 'node:path';
import { databaseUrlKind } from './database-url.ts';
import {
  choiceKind,
  integerKind,
  listenKind,
  pathKind,
  sizeKind,
  switchKind,
  textKind,
  userKeyKind,
  uuidKind,
} from './setting-kind.ts';
import type { SettingKind } from './setting-kind.ts';
import { MIB } from '../core/sizes.ts';

/** What a default may depend on. */
export interface DefaultContext {
  readonly directory: string;
  readonly dataDirectory: string;
  readonly processors: number;
}

/** One setting: everything that the file, the environment, the flags, the help and the documents say of it. */
export interface Setting<Value> {
  /** In the configuration file; null for what must not stand in it. */
  readonly fileKey: string | null;
  readonly env: string;
  /** On the command line; null for secrets, because every user of the machine can read a command line. */
  readonly flag: string | null;
  readonly kind: SettingKind<Value>;
  readonly defaultText: string;
  readonly defaultValue: (context: DefaultContext) => Value | null;
  /** One sentence or two. */
  readonly help: string;
  /** Whether messages must not show its value, though it may stand in the file. */
  readonly isSecret?: true;
}

type Always<Value> = Omit<Setting<Value>, 'defaultValue'> & {
  readonly defaultValue: (context: DefaultContext) => Value;
};

function always<Value>(setting: Always<Value>): Always<Value> {
  return setting;
}

function optional<Value>(
  setting: Omit<Setting<Value>, 'defaultText' | 'defaultValue'> & { defaultText?: string },
): Setting<Value> {
  return { defaultText: 'none', ...setting, defaultValue: () => null };
}

/** Every setting but the list of pools, which has a shape of its own (`pool-settings.ts`). */
export const SETTINGS = {
  configFile: optional({
    fileKey: null,
    env: 'DRIVEBAY_CONFIG',
    flag: '--config',
    kind: pathKind,
    help: 'The configuration file, in YAML. Without it nothing but flags, environment and defaults counts.',
  }),
  dataDirectory: always({
    fileKey: 'data_dir',
    env: 'DRIVEBAY_DATA_DIR',
    flag: '--data-dir',
    kind: pathKind,
    defaultText: './data',
    defaultValue: (context) => join(context.directory, 'data'),
    help: 'The directory of the metadata, the master key and, with no pools configured, the drives.',
  }),
  metadataUrl: optional({
    fileKey: 'metadata',
    env: 'DRIVEBAY_METADATA',
    flag: '--metadata',
    kind: databaseUrlKind,
    isSecret: true,
    defaultText: 'SQLite in data_dir',
    help: 'The PostgreSQL database of the metadata.',
  }),
  metadataPassword: optional({
    fileKey: null,
    env: 'DRIVEBAY_METADATA_PASSWORD',
    flag: null,
    kind: textKind('PASSWORD'),
    help: 'The password for metadata. Comes before one in its URL.',
  }),
  metadataCaFile: optional({
    fileKey: 'metadata_ca',
    env: 'DRIVEBAY_METADATA_CA',
    flag: '--metadata-ca',
    kind: pathKind,
    defaultText: 'those that Node trusts',
    help: "The authorities that the database's certificate may be signed by, in PEM.",
  }),
  metadataConnections: always({
    fileKey: 'metadata_connections',
    env: 'DRIVEBAY_METADATA_CONNECTIONS',
    flag: '--metadata-connections',
    kind: integerKind({ min: 2, max: 1000 }),
    defaultText: '10',
    defaultValue: () => 10,
    help: 'The most connections to the PostgreSQL database, one of which writes.',
  }),
  metadataTimeoutSeconds: always({
    fileKey: 'metadata_timeout_seconds',
    env: 'DRIVEBAY_METADATA_TIMEOUT_SECONDS',
    flag: '--metadata-timeout-seconds',
    kind: integerKind({ min: 1, max: 60 }),
    defaultText: '5',
    defaultValue: () => 5,
    help: 'How long a connection to the PostgreSQL database, a statement, or a wait for other writers may take.',
  }),
  listen: always({
    fileKey: 'listen',
    env: 'DRIVEBAY_LISTEN',
    flag: '--listen',
    kind: listenKind,
    defaultText: '127.0.0.1:8600',
    defaultValue: () => ({ host: '127.0.0.1', port: 8600 }),
    help: 'The address of the HTTP listener. Port 0 takes any free port.',
  }),
  tlsCertFile: optional({
    fileKey: 'tls_cert',
    env: 'DRIVEBAY_TLS_CERT',
    flag: '--tls-cert',
    kind: pathKind,
    help: 'The TLS certificate with its chain, in PEM. Read again when the file changes. Needs tls_key.',
  }),
  tlsKeyFile: optional({
    fileKey: 'tls_key',
    env: 'DRIVEBAY_TLS_KEY',
    flag: '--tls-key',
    kind: pathKind,
    help: "The TLS certificate's private key, in PEM. Read again when the file changes. Needs tls_cert.",
  }),
  nbdListen: optional({
    fileKey: 'nbd_listen',
    env: 'DRIVEBAY_NBD_LISTEN',
    flag: '--nbd-listen',
    kind: listenKind,
    help: 'The address of the NBD listener, such as 127.0.0.1:10809. With tls_cert it takes nothing but TLS.',
  }),
  nbdSocket: optional({
    fileKey: 'nbd_socket',
    env: 'DRIVEBAY_NBD_SOCKET',
    flag: '--nbd-socket',
    kind: pathKind,
    help: 'The path of a Unix socket that serves NBD to programs on this machine.',
  }),
  nbdAddress: optional({
    fileKey: 'nbd_address',
    env: 'DRIVEBAY_NBD_ADDRESS',
    flag: '--nbd-address',
    kind: textKind('HOST'),
    help: 'The host name or address by which servers reach the NBD listener, for attach:tcp. Without it that of nbd_listen.',
  }),
  nbdConnections: always({
    fileKey: 'nbd_connections',
    env: 'DRIVEBAY_NBD_CONNECTIONS',
    flag: '--nbd-connections',
    kind: integerKind({ min: 1, max: 100_000 }),
    defaultText: '1000',
    defaultValue: () => 1000,
    help: 'NBD connections that are served at once; further ones are closed.',
  }),
  allowInsecureListen: always({
    fileKey: 'allow_insecure_listen',
    env: 'DRIVEBAY_ALLOW_INSECURE_LISTEN',
    flag: '--allow-insecure-listen',
    kind: switchKind,
    defaultText: 'false',
    defaultValue: () => false,
    help: 'Allows an address that other machines can reach without TLS: behind a proxy that adds it, say.',
  }),
  logLevel: always({
    fileKey: 'log_level',
    env: 'DRIVEBAY_LOG_LEVEL',
    flag: '--log-level',
    kind: choiceKind(['trace', 'debug', 'info', 'warn', 'error', 'silent']),
    defaultText: 'info',
    defaultValue: () => 'info' as const,
    help: 'The least important messages that are logged.',
  }),
  adminUserId: optional({
    fileKey: null,
    env: 'DRIVEBAY_ADMIN_USER',
    flag: null,
    kind: uuidKind,
    defaultText: 'made at first start',
    help: "The first admin user's UUID. Counts at first start only.",
  }),
  adminKey: optional({
    fileKey: null,
    env: 'DRIVEBAY_ADMIN_KEY',
    flag: null,
    kind: userKeyKind,
    defaultText: 'made at first start',
    help: "The first admin user's API key. Counts at first start only.",
  }),
  masterKey: optional({
    fileKey: null,
    env: 'DRIVEBAY_MASTER_KEY',
    flag: null,
    kind: textKind('KEYS'),
    help: 'The master keys themselves, the current one first. Comes before master_key_command and master_key_file.',
  }),
  masterKeyCommand: optional({
    fileKey: 'master_key_command',
    env: 'DRIVEBAY_MASTER_KEY_COMMAND',
    flag: '--master-key-command',
    kind: textKind('COMMAND'),
    help: 'A shell command that prints the master keys, the current one first. Comes before master_key_file.',
  }),
  masterKeyFile: always({
    fileKey: 'master_key_file',
    env: 'DRIVEBAY_MASTER_KEY_FILE',
    flag: '--master-key-file',
    kind: pathKind,
    defaultText: 'master-key in data_dir',
    defaultValue: (context) => join(context.dataDirectory, 'master-key'),
    help: 'The file of the master keys, which is made at first start. Without it no encrypted drive can be read.',
  }),
  dataWorkers: always({
    fileKey: 'data_workers',
    env: 'DRIVEBAY_DATA_WORKERS',
    flag: '--data-workers',
    kind: integerKind({ min: 1, max: 64 }),
    defaultText: '8',
    defaultValue: () => 8,
    help: 'Threads that read, write and encrypt, for each pool, at most; they are started as they are needed.',
  }),
  nbdWorkers: always({
    fileKey: 'nbd_workers',
    env: 'DRIVEBAY_NBD_WORKERS',
    flag: '--nbd-workers',
    kind: integerKind({ min: 1, max: 64 }),
    defaultText: 'the processors, at least 2',
    defaultValue: ({ processors }) => Math.min(64, Math.max(2, processors)),
    help: 'Threads that serve NBD connections, for each pool, at most; they are started as they are needed.',
  }),
  bufferMemoryBytes: always({
    fileKey: 'buffer_memory',
    env: 'DRIVEBAY_BUFFER_MEMORY',
    flag: '--buffer-memory',
    kind: sizeKind({ min: '96M', max: '64G' }),
    defaultText: '256M',
    defaultValue: () => 256 * MIB,
    help: 'The most memory for bodies and pieces under way; requests wait for room in it.',
  }),
  imagingParallel: always({
    fileKey: 'imaging_parallel',
    env: 'DRIVEBAY_IMAGING_PARALLEL',
    flag: '--imaging-parallel',
    kind: integerKind({ min: 1, max: 64 }),
    defaultText: '2',
    defaultValue: () => 2,
    help: 'Imagings at a time; further ones are queued.',
  }),
  imagingThreads: always({
    fileKey: 'imaging_threads',
    env: 'DRIVEBAY_IMAGING_THREADS',
    flag: '--imaging-threads',
    kind: integerKind({ min: 1, max: 256 }),
    defaultText: 'one for each processor',
    defaultValue: (context) => Math.min(256, Math.max(1, context.processors)),
    help: 'Threads that all imagings together copy, pack and encrypt with.',
  }),
  drainSeconds: always({
    fileKey: 'drain_seconds',
    env: 'DRIVEBAY_DRAIN_SECONDS',
    flag: '--drain-seconds',
    kind: integerKind({ min: 0, max: 3600 }),
    defaultText: '0',
    defaultValue: () => 0,
    help: 'How long the server goes on when it is told to stop, with /readyz at 503, so that load balancers see it.',
  }),
  maxConnections: always({
    fileKey: 'max_connections',
    env: 'DRIVEBAY_MAX_CONNECTIONS',
    flag: '--max-connections',
    kind: integerKind({ min: 1, max: 1_000_000 }),
    defaultText: '4096',
    defaultValue: () => 4096,
    help: 'HTTP connections at a time; further ones are answered 503.',
  }),
};

export type SettingName = keyof typeof SETTINGS;

/** The value of every setting, null where it has neither a value nor a default. */
export type SettingValues = {
  -readonly [Name in SettingName]: ReturnType<(typeof SETTINGS)[Name]['defaultValue']>;
};

/** The same entries as a list, for what treats them all alike. */
export const SETTING_ENTRIES: readonly (readonly [SettingName, Setting<unknown>])[] = (
  Object.keys(SETTINGS) as SettingName[]
).map((name) => [name, SETTINGS[name]]);
