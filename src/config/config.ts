import type { DatabaseUrl, TlsMode } from './database-url.ts';
import type { PoolSetting } from './pool-settings.ts';
import type { SettingValues } from './settings.ts';

type Grouped =
  | 'metadataUrl'
  | 'metadataPassword'
  | 'metadataCaFile'
  | 'metadataConnections'
  | 'metadataTimeoutSeconds'
  | 'tlsCertFile'
  | 'tlsKeyFile'
  | 'adminUserId'
  | 'adminKey'
  | 'masterKey'
  | 'masterKeyCommand'
  | 'masterKeyFile';

/** What the server runs with, complete and checked. Paths are absolute. Holds secrets: never logged. */
export interface Config extends Readonly<Omit<SettingValues, Grouped>> {
  /** Null keeps the metadata with SQLite, in the data directory. */
  readonly metadata: MetadataDatabase | null;
  /** Null serves plain HTTP. */
  readonly tls: TlsFiles | null;
  /** What the first user is to have at first start; null makes it up. */
  readonly firstAdmin: { readonly userId: string; readonly key: string } | null;
  readonly masterKey: MasterKeySource;
  /** At least one, with different names and directories. */
  readonly pools: readonly PoolSetting[];
}

/** A PostgreSQL database that holds the metadata. */
export interface MetadataDatabase extends Omit<DatabaseUrl, 'tlsMode'> {
  readonly tlsMode: TlsMode;
  /** Null trusts whom Node trusts. */
  readonly caFile: string | null;
  readonly maxConnections: number;
  readonly timeoutMs: number;
}

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Where the master keys are: the first that is not null. */
export interface MasterKeySource {
  readonly text: string | null;
  readonly command: string | null;
  readonly file: string;
}

/** Every mistake of a configuration, a sentence each. */
export class ConfigError extends Error {
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(mistakes.join('\n'));
    this.name = 'ConfigError';
    this.mistakes = mistakes;
  }
}
