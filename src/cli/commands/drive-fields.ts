import { Option, type Command } from 'commander';
import { ALL_USERS } from '../../core/uuid.ts';
import type { Fields } from '../api/api-client.ts';
import { usageError } from '../cli-error.ts';
import { resolveNames } from '../drive-names.ts';
import { collectArgument, sizeArgument } from '../output/size-text.ts';
import type { Session } from '../session.ts';
import { ownDrives } from './drive-scope.ts';

/** What create and set have in common. */
export interface DriveFlags {
  readonly name?: string;
  readonly size?: number;
  readonly tier?: string;
  readonly claimType?: string;
  readonly tag?: readonly string[];
  readonly reader?: readonly string[];
  readonly userPair?: readonly string[];
}

export interface CreateFlags extends DriveFlags {
  readonly cipher?: string;
  readonly avoid?: readonly string[];
}

export function addDriveOptions(command: Command): Command {
  return command
    .option('--name <name>', 'a name of your choice')
    .addOption(new Option('--tier <tier>', 'the kind of hardware').choices(['disk', 'ssd']))
    .addOption(
      new Option('--claim-type <type>', 'how many servers may hold it').choices(['exclusive', 'shared']),
    )
    .option('--tag <word>', 'a tag; may be given several times', collectArgument)
    .option(
      '--reader <user>',
      "a user who may read it, by UUID, or 'all'; may be given several times",
      collectArgument,
    )
    .option('--user-pair <key=value>', 'a pair of your own; may be given several times', collectArgument);
}

export function addCreateOptions(command: Command): Command {
  return addDriveOptions(command.option('--size <size>', 'bytes, or with K, M, G or T: 10G', sizeArgument))
    .addOption(new Option('--cipher <cipher>', 'how it is stored').choices(['aes-xts-plain', 'none']))
    .option(
      '--avoid <drive>',
      'share no hardware with this drive; may be given several times',
      collectArgument,
    );
}

/** The fields of the flags that were given. */
export function driveFields(flags: DriveFlags): Record<string, string> {
  const fields: Record<string, string> = {};
  if (flags.name !== undefined) fields['name'] = flags.name;
  if (flags.size !== undefined) fields['size'] = String(flags.size);
  if (flags.tier !== undefined) fields['tier'] = flags.tier;
  if (flags.claimType !== undefined) fields['claim:type'] = flags.claimType;
  if (flags.tag !== undefined) fields['tags'] = flags.tag.join(' ');
  if (flags.reader !== undefined) {
    fields['readers'] = flags.reader.map((reader) => (reader === 'all' ? ALL_USERS : reader)).join(' ');
  }
  for (const pair of flags.userPair ?? []) {
    const equals = pair.indexOf('=');
    if (equals < 1) throw usageError(`'${pair}' is not of the form key=value`);
    fields[`user:${pair.slice(0, equals)}`] = pair.slice(equals + 1);
  }
  return fields;
}

/** The same for create; drives to avoid may be named like any other. */
export async function createFields(session: Session, flags: CreateFlags): Promise<Fields> {
  const fields = driveFields(flags);
  if (flags.cipher !== undefined) fields['encryption:cipher'] = flags.cipher;
  if (flags.avoid !== undefined) {
    fields['avoid'] = (await resolveNames(flags.avoid, ownDrives(session))).map(({ id }) => id).join(' ');
  }
  return fields;
}
