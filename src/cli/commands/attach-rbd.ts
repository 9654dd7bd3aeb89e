import { rm } from 'node:fs/promises';
import { textOf, type Fields, type Info } from '../api/api-client.ts';
import { CliError, usageError } from '../cli-error.ts';
import { passphraseOf, replaceKeyFile } from '../key-file.ts';
import type { Session } from '../session.ts';

export interface RbdClaimRequest {
  readonly driveId: string;
  readonly serverId: string;
  /** What the claim takes besides the protocol. */
  readonly fields: Fields;
  /** Where the passphrase of an encrypted drive goes; null when it is not to be had. */
  readonly secretFile: string | null;
}

/** A claim by rbd, and the file with the passphrase when there is need of one. */
export interface RbdClaim {
  readonly claim: Info;
  readonly secretFile: string | null;
}

/**
 * Claims a drive for a server that has a Ceph client of its own. An encrypted one is claimed as usual first, so that nobody
 * makes a new hole in it after its holes have been filled: the server would read noise there.
 */
export async function claimByRbd(session: Session, request: RbdClaimRequest): Promise<RbdClaim> {
  const { driveId, serverId, fields, secretFile } = request;
  const info = await session.api.info(driveId);
  const isEncrypted = textOf(info, 'encryption:cipher') !== 'none';
  if (!isEncrypted) return { claim: await claim(session, driveId, fields), secretFile: null };
  if (secretFile === null) {
    throw usageError('the drive is encrypted: say by --secret-file where its passphrase is to be written');
  }
  if (textOf(info, 'claim:type') === 'shared')
    throw usageError('the drive is shared: only one that is exclusive can be reached by rbd');
  await refuseOutsideCeph(session, driveId);
  await session.api.claim(driveId, fields);
  let isExported = false;
  try {
    await exportPassphrase(session, driveId, secretFile);
    isExported = true;
    // It holds the drive already.
    const { takeover: _, ...again } = fields;
    return { claim: await claim(session, driveId, again), secretFile };
  } catch (error) {
    if (isExported) await rm(secretFile, { force: true });
    // Nobody would know of what it holds.
    await session.api.release(driveId, serverId);
    throw error;
  }
}

async function claim(session: Session, driveId: string, fields: Fields): Promise<Info> {
  return await session.api.claim(driveId, { ...fields, protocol: 'rbd' });
}

/** Before its holes are filled, which takes the room of the whole drive. */
async function refuseOutsideCeph({ api, client }: Session, driveId: string): Promise<void> {
  const { pool } = await api.anyInfo(driveId).catch((error: unknown) => {
    throw isMissing(error) ? onlyAdministrators(error) : error;
  });
  const pools = await client.getInfos('/admin/pools/info');
  if (pools.find((candidate) => candidate['pool'] === pool)?.['kind'] !== 'file') return;
  throw usageError(`the drive is in no pool in Ceph, but in ${String(pool)}: attach it by NBD`);
}

async function exportPassphrase({ api }: Session, driveId: string, secretFile: string): Promise<void> {
  const exported = await api.exportKey(driveId, true).catch((error: unknown) => {
    throw isMissing(error) ? onlyAdministrators(error) : error;
  });
  await replaceKeyFile(secretFile, passphraseOf(exported));
}

function isMissing(error: unknown): boolean {
  return error instanceof CliError && error.code === 'missing';
}

/** For anybody else the command that exports a key is not there. */
function onlyAdministrators(cause: unknown): CliError {
  const sentence =
    'the drive is encrypted, and only administrators are given its passphrase: attach it by NBD';
  return new CliError('refused', sentence, cause);
}
