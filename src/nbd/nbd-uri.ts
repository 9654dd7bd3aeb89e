import { isIP } from 'node:net';
import { MAX_STRING_BYTES } from './limits.ts';
import { NBD_PORT } from './protocol-numbers.ts';

/** Where an export is served, and whether only over TLS. An IPv6 address is without its brackets. */
export type NbdEndpoint =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly isTls: boolean }
  | { readonly kind: 'unix'; readonly socketPath: string; readonly isTls: boolean };

/** An export as NBD clients are told of it. Source: doc/uri.md of github.com/NetworkBlockDevice/nbd. */
export interface NbdUri {
  readonly endpoint: NbdEndpoint;
  readonly exportName: string;
}

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;
const URI = /^(nbds?)(\+unix)?:\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i;
const AUTHORITY = /^(?:\[([0-9A-Fa-f:.]+)\]|([^[\]:@]+))(?::([0-9]{1,5}))?$/;

export function formatNbdUri({ endpoint, exportName }: NbdUri): string {
  const scheme = endpoint.isTls ? 'nbds' : 'nbd';
  const path = encodeURIComponent(exportName);
  switch (endpoint.kind) {
    case 'tcp': {
      const host = isIP(endpoint.host) === 6 ? `[${endpoint.host}]` : endpoint.host;
      const port = endpoint.port === NBD_PORT ? '' : `:${endpoint.port}`;
      return `${scheme}://${host}${port}/${path}`;
    }
    case 'unix': {
      const socket = encodeURIComponent(endpoint.socketPath).replaceAll('%2F', '/');
      return `${scheme}+unix:///${path}?socket=${socket}`;
    }
  }
}

/**
 * Reads an NBD URI. Null when the text is none, or says something that would be lost: a user, a fragment, or a parameter
 * other than `socket`.
 */
export function parseNbdUri(text: string): NbdUri | null {
  const match = URI.exec(text);
  if (match === null) return null;
  const [, scheme = '', unix, authority = '', path = '', query] = match;
  const isTls = scheme.toLowerCase() === 'nbds';
  const exportName = decode(path);
  if (exportName === null || !isExportName(exportName)) return null;
  const endpoint = unix === undefined ? tcpEndpoint(authority, query) : unixEndpoint(authority, query);
  return endpoint === null ? null : { endpoint: { ...endpoint, isTls }, exportName };
}

type WithoutTls<Endpoint> = Endpoint extends NbdEndpoint ? Omit<Endpoint, 'isTls'> : never;

function tcpEndpoint(authority: string, query: string | undefined): WithoutTls<NbdEndpoint> | null {
  const match = AUTHORITY.exec(authority);
  if (match === null || query !== undefined) return null;
  const [, ipv6, name] = match;
  const port = match[3] === undefined ? NBD_PORT : Number(match[3]);
  if (port === 0 || port > 65_535) return null;
  if (ipv6 !== undefined) return isIP(ipv6) === 6 ? { kind: 'tcp', host: ipv6, port } : null;
  return name !== undefined && HOST_NAME.test(name) ? { kind: 'tcp', host: name, port } : null;
}

function unixEndpoint(authority: string, query: string | undefined): WithoutTls<NbdEndpoint> | null {
  const value = query === undefined ? undefined : /^socket=([^&;]+)$/.exec(query)?.[1];
  const socketPath = value === undefined ? null : decode(value);
  return socketPath === null || authority !== '' ? null : { kind: 'unix', socketPath };
}

function isExportName(name: string): boolean {
  return !name.includes('\0') && Buffer.byteLength(name) <= MAX_STRING_BYTES;
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
