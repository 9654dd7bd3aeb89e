import type { MasterKeySource } from './config/config.ts';
import { unwrapSecret, withNewKey, withoutOldKeys, wrapSecret } from './crypto/key-ring.ts';
import { commandKeyRing, fileKeyRing, textKeyRing } from './crypto/key-ring-source.ts';
import type { KeyRingSource } from './crypto/key-ring-source.ts';
import { DriveError } from './core/errors.ts';
import type { MetadataStore } from './metadata/metadata-store.ts';
import type { KeyVault, SecretContext } from './service/key-vault.ts';

/** Opens the master keys from where the configuration says they are. */
export async function openKeyVault(config: MasterKeySource, metadata: MetadataStore): Promise<KeyVault> {
  const source = chooseSource(config, metadata);
  let ring = await source.load();
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
  return fileKeyRing(file, async () => !(await hasWrappedKeys(metadata)));
}

/** Whether there is any drive that some master key opens. */
async function hasWrappedKeys(metadata: MetadataStore): Promise<boolean> {
  const page = { after: null, limit: 1 };
  const wrapped = await metadata.transaction((tx) => tx.drives.listKeysNotUnder('', page));
  return wrapped.length > 0;
}
