import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileError, usageError } from '../cli-error.ts';

const DEFAULT_URL = 'http://127.0.0.1:8600';

/** Where the server is and who the user is; each from a flag, else the environment, else what this machine holds. */
export interface Access {
  readonly url: URL;
  /** `USER:KEY`; null when there is none anywhere. */
  readonly auth: string | null;
  readonly ca: string | null;
}

export interface AccessFlags {
  readonly url?: string | undefined;
  readonly auth?: string | undefined;
  readonly ca?: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function resolveAccess(flags: AccessFlags, env: Environment): Access {
  const url = parseUrl(flags.url ?? nonEmpty(env['DRIVEBAY_URL']) ?? nonEmpty(env['EHURI']) ?? DEFAULT_URL);
  const given = flags.auth ?? nonEmpty(env['DRIVEBAY_AUTH']) ?? nonEmpty(env['EHAUTH']) ?? urlAuth(url);
  if (given !== undefined && !given.includes(':')) {
    throw usageError('the credentials are not of the form USER:KEY (from --auth, DRIVEBAY_AUTH or EHAUTH)');
  }
  url.username = '';
  url.password = '';
  const caFile = flags.ca ?? nonEmpty(env['DRIVEBAY_CA']);
  return {
    url,
    auth: given ?? localAuth(credentialsFile(env)),
    ca: caFile === undefined ? null : readCa(caFile),
  };
}

/** Said wherever credentials are missing or wrong. */
export function credentialsHint(env: Environment): string {
  return `credentials come from --auth, DRIVEBAY_AUTH or EHAUTH (USER:KEY), else from ${credentialsFile(env)}`;
}

function credentialsFile(env: Environment): string {
  return join(nonEmpty(env['DRIVEBAY_DATA_DIR']) ?? './data', 'admin-credentials');
}

/** The first user's credentials, which the server keeps in a file that only its own user may read. */
function localAuth(path: string): string | null {
  try {
    return /^DRIVEBAY_AUTH=(\S+:\S+)$/m.exec(readFileSync(path, 'utf8'))?.[1] ?? null;
  } catch {
    // Absent or not readable: this machine has none for us, and whoever needs them says where they come from.
    return null;
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw usageError(`'${text}' is not a URL that begins with http:// or https://`);
  }
  return url;
}

function urlAuth(url: URL): string | undefined {
  return url.username === ''
    ? undefined
    : `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
}

function readCa(path: string): string {
  const text = readText(path);
  // Whatever is none would be passed over, and the server then not be trusted for a reason that nobody sees.
  if (!hasCertificate(text)) throw usageError(`${path} has no certificate in PEM (from --ca or DRIVEBAY_CA)`);
  return text;
}

function hasCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).subject !== null;
  } catch {
    return false;
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError('read', path, error);
  }
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}
