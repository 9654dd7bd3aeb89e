import type { Command } from 'commander';
import { textOf, type Info } from '../api/api-client.ts';
import { usageError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { column, gibColumn, printJson, printTable, type Column } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags, type Session } from '../session.ts';

interface ListFlags extends CommonFlags {
  readonly tag?: string;
  readonly standard?: boolean;
  readonly all?: boolean;
  readonly pool?: string;
  readonly ids?: boolean;
}

const COLUMNS: readonly Column[] = [
  column('DRIVE', 'drive'),
  gibColumn('GiB', 'size'),
  column('TIER', 'tier'),
  column('CIPHER', 'encryption:cipher'),
  { title: 'STATE', value: stateText },
  column('NAME', 'name'),
];

export function addListCommand(program: Command, io: CliIo): void {
  addCommonOptions(program.command('list').description('list your drives'))
    .option('--tag <word>', 'only those with this tag')
    .option('--standard', 'the drives that all users may read')
    .option('--all', "every user's drives (administrators)")
    .option('--pool <name>', 'with --all, only those in this pool')
    .option('--ids', 'only the UUIDs, one a line')
    .addHelpText(
      'after',
      '\nExamples:\n  drivebay list\n  drivebay list --tag web --ids\n  drivebay list --all --pool disk1\n  drivebay list --json',
    )
    .action((flags: ListFlags) => withSession(io, flags, (session) => list(session, flags)));
}

async function list(session: Session, flags: ListFlags): Promise<void> {
  const { pool } = flags;
  if (pool !== undefined && flags.all !== true) throw usageError('--pool goes with --all');
  const listed = await session.client.getInfos(listPath(flags));
  const infos = pool === undefined ? listed : listed.filter((info) => textOf(info, 'pool') === pool);
  const { stdout } = session.io;
  if (session.isJson) printJson(stdout, infos);
  else if (flags.ids === true) for (const info of infos) stdout.write(`${textOf(info, 'drive')}\n`);
  else if (flags.all === true)
    printTable(stdout, [...COLUMNS, column('POOL', 'pool'), column('USER', 'user')], infos);
  else printTable(stdout, COLUMNS, infos);
}

function listPath(flags: ListFlags): string {
  const tag = flags.tag === undefined ? '' : `?tag=${encodeURIComponent(flags.tag)}`;
  if (flags.all === true) return `/admin/drives/info${tag}`;
  return flags.standard === true ? `/drives/info/standard${tag}` : `/drives/info${tag}`;
}

/** In a word what the drive is doing. */
function stateText(info: Info): string {
  const imaging = textOf(info, 'imaging');
  if (imaging !== null) return imaging === 'true' ? 'imaging' : `imaging (${imaging})`;
  const moving = textOf(info, 'moving:progress');
  if (moving !== null) return `moving (${moving})`;
  if (textOf(info, 'claimed') !== null) return 'claimed';
  return textOf(info, 'imaging:error') === null ? (textOf(info, 'status') ?? '-') : 'imaging failed';
}
