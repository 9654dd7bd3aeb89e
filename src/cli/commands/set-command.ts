import type { Command } from 'commander';
import { bytesOf } from '../api/api-client.ts';
import { usageError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { resolveName } from '../drive-names.ts';
import { sizeArgument, sizeText } from '../output/size-text.ts';
import { printInfos, printJson } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags, type Session } from '../session.ts';
import { addDriveOptions, driveFields, type DriveFlags } from './drive-fields.ts';
import { ownDrives } from './drive-scope.ts';

interface SetFlags extends CommonFlags, DriveFlags {
  readonly shrink?: boolean;
  readonly clearTags?: boolean;
  readonly clearReaders?: boolean;
}

const EXAMPLES = `
Only what is given changes. --tag and --reader replace all tags and readers; a pair without a value is removed.

Examples:
  drivebay set web-1 --size 20G
  drivebay set web-1 --name web-2 --tag web --tag prod
  drivebay set web-1 --user-pair owner= --clear-readers`;

export function addSetCommand(program: Command, io: CliIo): void {
  const command = program.command('set').description("change a drive's name, size, tags and the like");
  addDriveOptions(addCommonOptions(command).argument('<drive>', 'UUID, name, or the start of the UUID'))
    .option('--size <size>', 'grow to this size: 20G', sizeArgument)
    .option('--shrink', 'let --size be smaller than now; what is beyond it is lost')
    .option('--clear-tags', 'remove all tags')
    .option('--clear-readers', 'remove all readers')
    .addHelpText('after', EXAMPLES)
    .action((drive: string, flags: SetFlags) =>
      withSession(io, flags, (session) => change(session, drive, flags)),
    );
}

async function change(session: Session, drive: string, flags: SetFlags): Promise<void> {
  const fields = driveFields(flags);
  if (flags.clearTags === true) fields['tags'] = '';
  if (flags.clearReaders === true) fields['readers'] = '';
  if (Object.keys(fields).length === 0)
    throw usageError('nothing to change was given; see drivebay set --help');
  const named = await resolveName(drive, ownDrives(session));
  if (flags.size !== undefined && flags.shrink !== true) {
    const nowBytes = bytesOf(named.info ?? (await session.api.info(named.id)), 'size');
    if (flags.size < nowBytes) {
      throw usageError(
        `the drive has ${sizeText(nowBytes)}; --shrink says that what is beyond the new size may be lost`,
      );
    }
  }
  const info = await session.api.set(named.id, fields);
  if (session.isJson) printJson(session.io.stdout, info);
  else printInfos(session.io.stdout, [info]);
}
