import { isUuid } from '../core/uuid.ts';
import { decodeUtf8 } from './utf8.ts';

/** What a client logs in with. */
export interface Login {
  readonly userId: string;
  readonly key: string;
}

const BASIC = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i;

/**
 * Reads an Authorization header of the Basic scheme (RFC 7617, in UTF-8).
 *
 * @returns null when there is none, when it is malformed, or when its user is no UUID: nobody has such a name
 */
export function parseBasicAuth(header: string | undefined): Login | null {
  const encoded = header === undefined ? undefined : BASIC.exec(header)?.[1];
  if (encoded === undefined) return null;
  const text = decodeUtf8(Buffer.from(encoded, 'base64'));
  const colon = text?.indexOf(':') ?? -1;
  if (text === null || colon === -1) return null;
  const login = { userId: text.slice(0, colon), key: text.slice(colon + 1) };
  return isUuid(login.userId) && login.key !== '' ? login : null;
}
