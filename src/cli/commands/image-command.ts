import { Option, type Command } from 'commander';
import { textOf, type Info } from '../api/api-client.ts';
import { CliError, usageError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { resolveName } from '../drive-names.ts';
import { createImagingBar, type ImagingBar } from '../output/imaging-bar.ts';
import { durationText } from '../output/size-text.ts';
import { printJson } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags, type Session } from '../session.ts';
import { ownDrives, readableDrives } from './drive-scope.ts';

const FIRST_POLL_MS = 50;
const LONGEST_POLL_MS = 1000;
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
  const info = await waitUntilImaged(session, target.id, createImagingBar(session.io, isQuiet));
  if (session.isJson) printJson(session.io.stdout, info);
  else if (flags.quiet !== true) {
    session.io.stderr.write(
      `imaged ${source.id} onto ${target.id} in ${durationText(session.io.nowMs() - startedMs)}\n`,
    );
  }
}

/** Asks until the drive is not imaging any more; at first often, because a copy by shared blocks takes no time. */
async function waitUntilImaged(session: Session, targetId: string, bar: ImagingBar): Promise<Info> {
  const interrupted = new AbortController();
  const stopListening = session.io.onInterrupt(() => interrupted.abort());
  try {
    for (let delayMs = FIRST_POLL_MS; ; delayMs = Math.min(LONGEST_POLL_MS, delayMs * 1.5)) {
      const info = await session.api.fullInfo(targetId);
      const imaging = textOf(info, 'imaging');
      if (imaging === null) return expectImaged(info);
      bar.show(imaging);
      await session.io.sleep(delayMs, interrupted.signal);
      if (interrupted.signal.aborted) {
        throw new CliError(
          'interrupted',
          `interrupted; the server goes on imaging (drivebay info ${targetId} --full)`,
        );
      }
    }
  } finally {
    stopListening();
    bar.stop();
  }
}

function expectImaged(info: Info): Info {
  const reason = textOf(info, 'imaging:error');
  if (reason === null) return info;
  throw new CliError('imaging', `imaging onto ${textOf(info, 'drive')} failed: ${reason.replace(/\.$/, '')}`);
}
