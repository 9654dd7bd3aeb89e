import { BlockList, isIP } from 'node:net';

/** Where a listener is bound. An IPv6 address is without its brackets; port 0 lets the system choose. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;
const LISTEN = /^(?:\[([0-9A-Fa-f:.]+)\]|([^[\]:]+)):([0-9]{1,5})$/;

/** Reads `HOST:PORT`, where an IPv6 address stands in brackets. Null when the text is nothing of the kind. */
export function parseListenAddress(text: string): ListenAddress | null {
  const match = LISTEN.exec(text);
  if (match === null) return null;
  const [, ipv6, name] = match;
  const port = Number(match[3]);
  if (port > 65_535) return null;
  if (ipv6 !== undefined) return isIP(ipv6) === 6 ? { host: ipv6, port } : null;
  if (name === undefined || !HOST_NAME.test(name)) return null;
  const looksLikeIpv4 = /^[0-9.]+$/.test(name);
  return looksLikeIpv4 && isIP(name) !== 4 ? null : { host: name, port };
}

/** As it is written in a URL or a setting. */
export function formatListenAddress({ host, port }: ListenAddress): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine can reach the host. A name other than `localhost` may mean anything, so it is not. */
export function isLoopback(host: string): boolean {
  if (host.toLowerCase() === 'localhost') return true;
  const family = isIP(host);
  if (family === 0) return false;
  const loopback = new BlockList();
  loopback.addSubnet('127.0.0.0', 8, 'ipv4');
  loopback.addAddress('::1', 'ipv6');
  return loopback.check(host, family === 6 ? 'ipv6' : 'ipv4');
}
