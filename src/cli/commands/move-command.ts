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
import { allDrives } from './drive-scope.ts';

interface MoveFlags extends CommonFlags {
  readonly pool?: string;
  readonly tier?: string;
  readonly cancel?: boolean;
  readonly wait?: boolean;
  readonly quiet?: boolean;
}

const EXAMPLES = `
The drive is used as before meanwhile, also by servers that hold it. Without --wait the server goes on by itself, also after a
restart; --cancel ends that and leaves the drive where it was.

Examples:
  drivebay move web-1 --pool disk2 --wait
  drivebay move web-1 --pool nvme --tier ssd
  drivebay move web-1 --cancel`;

export function addMoveCommand(program: Command, io: CliIo): void {
  addCommonOptions(program.command('move').description('move a drive to another pool (administrators)'))
    .argument('<drive>', 'UUID, name, or the start of the UUID')
    .option('--pool <name>', 'the pool to move it to; see drivebay pool list')
    .addOption(new Option('--tier <tier>', 'the tier that it is of then').choices(['disk', 'ssd']))
    .option('--cancel', 'end the move that is under way')
    .option('--wait', 'return when it is done, and fail if it fails')
    .option('--quiet', 'no progress')
    .addHelpText('after', EXAMPLES)
    .action((drive: string, flags: MoveFlags) =>
      withSession(io, flags, async (session) => {
        const { id } = await resolveName(drive, allDrives(session));
        const info = await (flags.cancel === true ? cancel(session, id, flags) : move(session, id, flags));
        if (session.isJson) printJson(io.stdout, info);
      }),
    );
}

async function cancel(session: Session, driveId: string, { pool, tier, wait }: MoveFlags): Promise<Info> {
  if (pool !== undefined || tier !== undefined || wait === true) {
    throw usageError('--cancel goes without --pool, --tier and --wait');
  }
  return await session.api.cancelMove(driveId);
}

async function move(session: Session, driveId: string, flags: MoveFlags): Promise<Info> {
  const { pool, tier } = flags;
  if (pool === undefined) throw usageError('say where to with --pool, or --cancel');
  const startedMs = session.io.nowMs();
  const begun = await session.api.move(driveId, { pool, ...(tier === undefined ? {} : { tier }) });
  if (flags.wait !== true) return begun;
  const isQuiet = flags.quiet === true || session.isJson;
  const info = await waitForJob(session, {
    ask: () => session.api.anyInfo(driveId),
    stateOf: (each) => textOf(each, 'moving:progress'),
    bar: createJobBar(session.io, { title: 'moving', isQuiet }),
    goesOn: `the server goes on moving the drive (drivebay move ${driveId} --cancel ends that)`,
  });
  expectMoved(info, pool);
  if (!isQuiet) {
    session.io.stderr.write(
      `moved ${driveId} to ${pool} in ${durationText(session.io.nowMs() - startedMs)}\n`,
    );
  }
  return info;
}

function expectMoved(info: Info, pool: string): void {
  if (textOf(info, 'pool') === pool) return;
  const reason = textOf(info, 'moving:error') ?? 'somebody has cancelled it';
  throw new CliError('moving', `moving ${textOf(info, 'drive')} failed: ${reason.replace(/\.$/, '')}`);
}
