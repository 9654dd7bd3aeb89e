import type { MasterKeySource } from './config/config.ts';
import { unwrapSecret, withNewKey, withoutOldKeys, wrapSecret } from './crypto/key-ring.ts';
import type { KeyRing } from './crypto/key-ring.ts';
import { commandKeyRing, fileKeyRing, textKeyRing } from './crypto/key-ring-source.ts';
import type { KeyRingSource } from './crypto/key-ring-source.ts';
import { DriveError } from './core/errors.ts';
import type { MetadataStore, Page, WrappedKeys } from './metadata/metadata-store.ts';
import type { KeyVault, SecretContext } from './service/key-vault.ts';

interface WrappedDrive {
  readonly driveId: string;
  readonly keys: WrappedKeys;
}

/** Drives whose keys are looked at together at start. */
const PAGE_DRIVES = 500;

/** Opens the master keys from where the configuration says they are. */
export async function openKeyVault(config: MasterKeySource, metadata: MetadataStore): Promise<KeyVault> {
  const source = chooseSource(config, metadata);
  let ring = await source.load();
  await requireKeys(ring, metadata);
  const purposeOf = ({ driveId, purpose }: SecretContext): string => `${driveId} ${purpose}`;
  return {
    currentId: () => ring.current.id,
    wrap: (secret, context) => wrapSecret(ring.current, secret, purposeOf(context)),
    unwrap(wrapped, context) {
      const key = ring.all.find(({ id }) => id === context.masterKeyId);
      if (key === undefined) {
        throw new DriveError(
          'failed',
          `Drive ${context.driveId} needs master key ${context.masterKeyId}, which is not in the ring of master keys.`,
          { drive: context.driveId },
        );
      }
      return unwrapSecret(key, wrapped, purposeOf(context));
    },
    async beginRotation() {
      if (source.replace !== null && (await hasOtherNodes(metadata))) throw onlyHere();
      // A rotation that was cut short has left its new key first already; another one does no harm.
      const next = source.replace === null ? await source.load() : withNewKey(await source.load());
      await source.replace?.(next);
      ring = next;
    },
    async endRotation() {
      if (source.replace === null) return;
      const next = withoutOldKeys(ring);
      await source.replace(next);
      ring = next;
    },
  };
}

function chooseSource({ text, command, file }: MasterKeySource, metadata: MetadataStore): KeyRingSource {
  if (text !== null) return textKeyRing(text);
  if (command !== null) return commandKeyRing(command);
  const mayMake = async (): Promise<boolean> =>
    !(await hasWrappedKeys(metadata)) && !(await hasOtherNodes(metadata));
  return fileKeyRing(file, mayMake);
}

/** Refuses a ring that lacks a key which some drive needs: it is not this installation's, or not all of it. */
async function requireKeys(ring: KeyRing, metadata: MetadataStore): Promise<void> {
  const known = new Set(ring.all.map(({ id }) => id));
  for (let after: string | null = null; ;) {
    const page: Page = { after, limit: PAGE_DRIVES };
    const others: readonly WrappedDrive[] = await metadata.transaction((tx) =>
      tx.drives.listKeysNotUnder(ring.current.id, page),
    );
    const missing = others.find(({ keys }) => !known.has(keys.masterKeyId));
    if (missing !== undefined) {
      throw new Error(
        `Drives need master key ${missing.keys.masterKeyId}, which is not among those given (${[...known].join(', ')}). ` +
          'Put the right master key back from a backup.',
      );
    }
    after = others.at(-1)?.driveId ?? null;
    if (after === null) return;
  }
}

/** Whether there are nodes besides this one, which is one of them. */
async function hasOtherNodes({ nodes }: MetadataStore): Promise<boolean> {
  return (await nodes.list()).filter(({ state }) => state !== 'gone').length > 1;
}

function onlyHere(): DriveError {
  return new DriveError(
    'usage',
    'A new master key in the file of this node would lock the other nodes out. Put a new key first on all nodes, with the ' +
      'old one behind it, by DRIVEBAY_MASTER_KEY or master_key_command, restart them, and rotate then.',
  );
}

/** Whether there is any drive that some master key opens. */
async function hasWrappedKeys(metadata: MetadataStore): Promise<boolean> {
  const page = { after: null, limit: 1 };
  const wrapped = await metadata.transaction((tx) => tx.drives.listKeysNotUnder('', page));
  return wrapped.length > 0;
}
