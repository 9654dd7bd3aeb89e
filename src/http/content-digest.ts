import { usage } from './error-table.ts';

/**
 * `Content-Digest` and `Want-Content-Digest` of RFC 9530, whose syntax is the dictionary of RFC 8941. Only sha-256
 * is looked at; other algorithms need only be well formed.
 */
const DIGEST_MEMBER = /^([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):(?:;.*)?$/;
const WANT_MEMBER = /^([a-z*][a-z0-9_.*-]*)=([0-9]{1,2})(?:;.*)?$/;
const SHA256_BYTES = 32;

/**
 * The SHA-256 that a body shall have; null when the header names none.
 *
 * @throws DriveError usage when the header is malformed
 */
export function parseContentDigest(header: string | undefined): Uint8Array | null {
  if (header === undefined) return null;
  let sha256: Uint8Array | null = null;
  for (const member of header.split(',')) {
    const [, algorithm, base64] = DIGEST_MEMBER.exec(member.trim()) ?? [];
    if (algorithm === undefined || base64 === undefined) throw malformed();
    const digest = Buffer.from(base64, 'base64');
    if (digest.length === 0 || digest.toString('base64').replace(/=+$/, '') !== base64.replace(/=+$/, '')) {
      throw malformed();
    }
    if (algorithm !== 'sha-256') continue;
    if (digest.length !== SHA256_BYTES) throw malformed();
    sha256 = digest;
  }
  return sha256;
}

/** Whether the client wants the answer's SHA-256. It is a preference, so what is malformed is no error. */
export function wantsSha256(header: string | undefined): boolean {
  const members = (header ?? '').split(',').map((member) => WANT_MEMBER.exec(member.trim()));
  return members.some((match) => match?.[1] === 'sha-256' && Number(match[2]) > 0);
}

export function renderContentDigest(sha256: Uint8Array): string {
  return `sha-256=:${Buffer.from(sha256).toString('base64')}:`;
}

function malformed(): Error {
  return usage('The Content-Digest header is malformed; it looks like sha-256=:BASE64:.');
}
