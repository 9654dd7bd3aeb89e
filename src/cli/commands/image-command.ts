import { Option, type Command } from 'commander';
import { textOf, type Info } from '../api/api-client.ts';
import { CliError, usageError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { resolveName } from '../drive-names.ts';
import { waitForJob } from '../job-wait.ts';
import { createJobBar } from '../output/job-bar.ts';
import { durationText } from '../output/size-text.ts';
import { printJson } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags, type Session } from '../session.ts';
import { ownDrives, readableDrives } from './drive-scope.ts';

const CONVERSIONS = ['gzip', 'gunzip', 'zstd', 'unzstd'] as const;

interface ImageFlags extends CommonFlags {
  readonly gzip?: boolean;
  readonly gunzip?: boolean;
  readonly zstd?: boolean;
  readonly unzstd?: boolean;
  readonly wait?: boolean;
  readonly quiet?: boolean;
}

const EXAMPLES = `
The rest of TARGET reads as zeros afterwards. Without --wait the server goes on by itself; info --full shows how far it is.

Examples:
  drivebay image debian-12 web-1 --wait
  drivebay image backup.gz restored --gunzip --wait`;

export function addImageCommand(program: Command, io: CliIo): void {
  addCommonOptions(program.command('image').description('copy one drive onto another'))
    .argument('<source>', 'the drive to copy: UUID, name, or the start of the UUID')
    .argument('<target>', 'the drive to write to')
    .addOption(new Option('--gzip', 'pack the source with gzip'))
    .addOption(new Option('--gunzip', 'unpack the gzip stream that the source holds'))
    .addOption(new Option('--zstd', 'pack the source with zstd'))
    .addOption(new Option('--unzstd', 'unpack the zstd stream that the source holds'))
    .option('--wait', 'return when it is done, and fail if it fails')
    .option('--quiet', 'no progress')
    .addHelpText('after', EXAMPLES)
    .action((source: string, target: string, flags: ImageFlags) =>
      withSession(io, flags, (session) => image(session, { source, target }, flags)),
    );
}

async function image(
  session: Session,
  drives: { source: string; target: string },
  flags: ImageFlags,
): Promise<void> {
  const conversions = CONVERSIONS.filter((conversion) => flags[conversion] === true);
  if (conversions.length > 1) throw usageError(`--${conversions.join(' and --')} exclude each other`);
  const [source, target] = await Promise.all([
    resolveName(drives.source, readableDrives(session)),
    resolveName(drives.target, ownDrives(session)),
  ]);
  const startedMs = session.io.nowMs();
  await session.api.image({ sourceId: source.id, targetId: target.id, conversion: conversions[0] ?? null });
  if (flags.wait !== true) {
    if (session.isJson) printJson(session.io.stdout, { source: source.id, target: target.id });
    return;
  }
  const isQuiet = flags.quiet === true || session.isJson;
  const info = expectImaged(
    await waitForJob(session, {
      ask: () => session.api.fullInfo(target.id),
      stateOf: (each) => textOf(each, 'imaging'),
      bar: createJobBar(session.io, { title: 'imaging', isQuiet }),
      goesOn: `the server goes on imaging (drivebay info ${target.id} --full)`,
    }),
  );
  if (session.isJson) printJson(session.io.stdout, info);
  else if (flags.quiet !== true) {
    session.io.stderr.write(
      `imaged ${source.id} onto ${target.id} in ${durationText(session.io.nowMs() - startedMs)}\n`,
    );
  }
}

function expectImaged(info: Info): Info {
  const reason = textOf(info, 'imaging:error');
  if (reason === null) return info;
  throw new CliError('imaging', `imaging onto ${textOf(info, 'drive')} failed: ${reason.replace(/\.$/, '')}`);
}
