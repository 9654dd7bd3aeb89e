import { NO_DIGEST } from '../core/body-digest.ts';
import type { BodyDigest, DigestAlgorithm } from '../core/body-digest.ts';
import { usage } from './error-table.ts';

/**
 * `Content-Digest` and `Want-Content-Digest` of RFC 9530, whose syntax is the dictionary of RFC 8941. Looked at are sha-256 and
 * aes-128-gmac, which is not registered there (docs/api/README.md says what it is); others need only be well formed.
 */
const DIGEST_MEMBER = /^([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):(?:;.*)?$/;
const WANT_MEMBER = /^([a-z*][a-z0-9_.*-]*)=([0-9]{1,2})(?:;.*)?$/;
const DIGEST_BYTES: ReadonlyMap<string, number> = new Map([
  ['sha-256', 32],
  ['aes-128-gmac', 16],
]);

/**
 * What a body shall be.
 *
 * @throws DriveError usage when the header is malformed
 */
export function parseContentDigest(header: string | undefined): BodyDigest {
  if (header === undefined) return NO_DIGEST;
  let sha256: Uint8Array | null = null;
  let gmac: Uint8Array | null = null;
  for (const member of header.split(',')) {
    const [, algorithm, base64] = DIGEST_MEMBER.exec(member.trim()) ?? [];
    if (algorithm === undefined || base64 === undefined) throw malformed();
    const digest = Buffer.from(base64, 'base64');
    if (digest.length === 0 || digest.toString('base64').replace(/=+$/, '') !== base64.replace(/=+$/, '')) {
      throw malformed();
    }
    if (digest.length !== (DIGEST_BYTES.get(algorithm) ?? digest.length)) throw malformed();
    if (algorithm === 'sha-256') sha256 = digest;
    if (algorithm === 'aes-128-gmac') gmac = digest;
  }
  return { sha256, gmac };
}

/**
 * The digest of the answer that the client would rather have than others; null when it wants none that is known. It is a
 * preference, so what is malformed is no error.
 */
export function wantedDigest(header: string | undefined): DigestAlgorithm | null {
  let wanted: DigestAlgorithm | null = null;
  let most = 0;
  for (const member of (header ?? '').split(',')) {
    const [, algorithm, preference] = WANT_MEMBER.exec(member.trim()) ?? [];
    if ((algorithm !== 'sha-256' && algorithm !== 'aes-128-gmac') || Number(preference) <= most) continue;
    wanted = algorithm;
    most = Number(preference);
  }
  return wanted;
}

/** An empty text when there is nothing to say. */
export function renderContentDigest({ sha256, gmac }: BodyDigest): string {
  const members = [
    ['sha-256', sha256],
    ['aes-128-gmac', gmac],
  ] as const;
  return members
    .flatMap(([algorithm, digest]) =>
      digest === null ? [] : [`${algorithm}=:${Buffer.from(digest).toString('base64')}:`],
    )
    .join(', ');
}

function malformed(): Error {
  return usage('The Content-Digest header is malformed; it looks like sha-256=:BASE64:.');
}
