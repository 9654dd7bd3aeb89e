import type { Command } from 'commander';
import type { Info } from '../api/api-client.ts';
import type { CliIo } from '../cli-io.ts';
import { resolveName } from '../drive-names.ts';
import { printInfos, printJson } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags, type Session } from '../session.ts';
import { readableDrives } from './drive-scope.ts';

interface InfoFlags extends CommonFlags {
  readonly full?: boolean;
}

export function addInfoCommand(program: Command, io: CliIo): void {
  addCommonOptions(program.command('info').description('show everything about a drive, or about all of them'))
    .argument('[drive]', 'UUID, name, or the first 4 or more characters of the UUID')
    .option('--full', 'also how far imaging is, who holds the drive, and its limits')
    .addHelpText('after', '\nExamples:\n  drivebay info web-1\n  drivebay info 8f3c --full --json')
    .action((drive: string | undefined, flags: InfoFlags) =>
      withSession(io, flags, (session) => show(session, drive, flags)),
    );
}

async function show(session: Session, drive: string | undefined, flags: InfoFlags): Promise<void> {
  const { stdout } = session.io;
  const suffix = flags.full === true ? '/full' : '';
  if (drive === undefined) {
    const infos = await session.client.getInfos(`/drives/info${suffix}`);
    if (session.isJson) printJson(stdout, infos);
    else printInfos(stdout, infos);
    return;
  }
  const named = await resolveName(drive, readableDrives(session));
  const isKnown = named.info !== null && flags.full !== true;
  const info: Info = isKnown ? named.info : await session.client.getInfo(`/drives/${named.id}/info${suffix}`);
  if (session.isJson) printJson(stdout, info);
  else printInfos(stdout, [info]);
}
