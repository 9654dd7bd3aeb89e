import type { SettingKind, ValueOrigin } from './setting-kind.ts';

/** How much of the database's certificate is checked: nothing, who has signed it, or also whose it is. */
export type TlsMode = 'disable' | 'require' | 'verify-ca' | 'verify-full';

/** A PostgreSQL database, as its URL names it. */
export interface DatabaseUrl {
  /** A host name, an address, or the directory of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Null when the URL has none. */
  readonly password: string | null;
  /** Null when the URL says nothing of it. */
  readonly tlsMode: TlsMode | null;
}

const TLS_MODES: readonly TlsMode[] = ['disable', 'require', 'verify-ca', 'verify-full'];
const DEFAULT_PORT = 5432;
/** Stands where a URL has no host, which only URLs of the web may not have. */
const NO_HOST = 'no-host.invalid';

export const databaseUrlKind: SettingKind<DatabaseUrl> = {
  placeholder: 'URL',
  mustBe:
    'postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE, with ?sslmode= one of ' +
    `${TLS_MODES.join(', ')} and, for a Unix socket, ?host= its directory; without the password on a command line, ` +
    'which every user of the machine can read',
  parse: parseDatabaseUrl,
};

function parseDatabaseUrl(text: string, { isPublic }: ValueOrigin): DatabaseUrl | null {
  const url = toUrl(text);
  if (url === null) return null;
  const parameters = new Map(url.searchParams);
  const tlsText = parameters.get('sslmode');
  const tlsMode = TLS_MODES.find((mode) => mode === tlsText) ?? null;
  const socket = parameters.get('host');
  if ([...parameters.keys()].some((key) => key !== 'sslmode' && key !== 'host')) return null;
  if (tlsText !== undefined && tlsMode === null) return null;
  if (socket !== undefined && !socket.startsWith('/')) return null;
  const isSocket = socket !== undefined;
  if (isSocket !== (url.hostname === NO_HOST)) return null;
  const [user, password, database] = [url.username, url.password, url.pathname.slice(1)].map(decoded);
  if (!user || !database || password === undefined) return null;
  if (isPublic && password !== '') return null;
  return {
    host: socket ?? unbracketed(decoded(url.hostname) ?? ''),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    database,
    user,
    password: password === '' ? null : password,
    tlsMode,
  };
}

function toUrl(text: string): URL | null {
  if (!/^postgres(?:ql)?:\/\//.test(text)) return null;
  const withHost = text.replace(/^(postgres(?:ql)?:\/\/[^/?#]*@)(?=\/)/, `$1${NO_HOST}`);
  return URL.canParse(withHost) ? new URL(withHost) : null;
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

function unbracketed(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host;
}
