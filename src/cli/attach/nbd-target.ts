import { CliError } from '../cli-error.ts';

const DEFAULT_PORT = 10809;

/** Where a claimed drive is to be had over NBD: what the server's URI says, taken apart. */
export interface NbdTarget {
  readonly uri: string;
  /** The name of the export: the claim's secret. */
  readonly secret: string;
  readonly isTls: boolean;
  readonly endpoint: NbdEndpoint;
}

export type NbdEndpoint =
  | { readonly kind: 'inet'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/**
 * Takes an NBD URI apart: `nbd://HOST:PORT/SECRET`, `nbds://…`, `nbd+unix:///SECRET?socket=PATH` or `nbds+unix:…`.
 * Format: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md
 */
export function parseNbdUri(uri: string): NbdTarget {
  const url = URL.canParse(uri) ? new URL(uri) : null;
  const scheme = /^(nbds?)(\+unix)?:$/.exec(url?.protocol ?? '');
  if (url === null || scheme === null) throw unusable(uri);
  const secret = decodeURIComponent(url.pathname.replace(/^\//, ''));
  const isTls = scheme[1] === 'nbds';
  if (scheme[2] !== undefined) {
    const path = url.searchParams.get('socket');
    if (path === null) throw unusable(uri);
    return { uri, secret, isTls, endpoint: { kind: 'unix', path } };
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  return { uri, secret, isTls, endpoint: { kind: 'inet', host, port } };
}

function unusable(uri: string): CliError {
  return new CliError('failed', `the server gave an NBD URI that this command does not know: ${uri}`);
}
