/** How a PostgreSQL database is reached. */
export interface PostgresOptions {
  /** A host name, an address, or the directory of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Null leaves it to PGPASSWORD or the user's password file. */
  readonly password: string | null;
  /** Null speaks plain text. */
  readonly tls: PostgresTls | null;
  /** The most connections, the one that writes included; at least 2. */
  readonly maxConnections: number;
  /** How long a connection, a statement or a wait for other writers may take. */
  readonly timeoutMs: number;
  /** Called when the database goes away, and when it is back. */
  readonly onChange?: (state: DatabaseState) => void;
}

export interface PostgresTls {
  /** Whether the certificate is checked, and whether it must be for this host. */
  readonly verify: 'nothing' | 'authority' | 'host';
  /** The authorities, in PEM; null for those that the system trusts. */
  readonly ca: string | null;
}

export type DatabaseState =
  { readonly isAway: true; readonly error: unknown } | { readonly isAway: false; readonly awayMs: number };

/** What names the database in messages and logs: never its user or password. */
export function databaseName({ host, port, database }: PostgresOptions): string {
  return host.startsWith('/') ? `${database} at ${host}` : `${database} at ${host}:${port}`;
}
