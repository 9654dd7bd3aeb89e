import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { textOf } from '../api/api-client.ts';
import { usageError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { printJson } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags, type Session } from '../session.ts';
import { addCreateOptions, createFields, type CreateFlags } from './drive-fields.ts';
import { addTransferOptions, runUpload, type UploadFlags } from './upload-command.ts';

interface Flags extends CommonFlags, CreateFlags {
  readonly from?: string;
  readonly parallel?: number;
  readonly quiet?: boolean;
}

const EXAMPLES = `
Prints the UUID of the new drive, which reads as zeros. With --from it is of FILE's size unless --size says more.

Examples:
  drivebay create --size 10G --name web-1
  drivebay create --size 10G --name replica --avoid web-1 --tier ssd
  drivebay create --name debian-12 --from debian.img
  drive=$(drivebay create --size 1T)`;

export function addCreateCommand(program: Command, io: CliIo): void {
  addTransferOptions(
    addCreateOptions(addCommonOptions(program.command('create').description('make a new drive'))),
  )
    .option('--from <file>', 'upload this file onto it')
    .addHelpText('after', EXAMPLES)
    .action((flags: Flags) => {
      const { from, ...others } = flags;
      if (from === undefined) return withSession(io, flags, (session) => create(session, flags));
      const uploadFlags: UploadFlags = { ...others, create: true };
      return runUpload(io, { file: from, drive: undefined }, uploadFlags);
    });
}

async function create(session: Session, flags: Flags): Promise<void> {
  if (flags.size === undefined) throw usageError('give --size, such as --size 10G, or --from FILE');
  const info = await session.api.create(await createFields(session, flags), randomUUID());
  if (session.isJson) printJson(session.io.stdout, info);
  else session.io.stdout.write(`${textOf(info, 'drive')}\n`);
}
