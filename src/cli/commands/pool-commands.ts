import type { Command } from 'commander';
import { textOf } from '../api/api-client.ts';
import type { CliIo } from '../cli-io.ts';
import { column, gibColumn, printJson, printTable, type Column } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags } from '../session.ts';

const COLUMNS: readonly Column[] = [
  column('POOL', 'pool'),
  column('STATUS', 'status'),
  column('TIER', 'tier'),
  gibColumn('TOTAL GiB', 'total:bytes'),
  gibColumn('FREE GiB', 'free:bytes'),
  { ...column('DRIVES', 'drives'), alignRight: true },
  column('NODE', 'node'),
  column('DOMAIN', 'domain'),
];

/** The commands of administrators about storage. */
export function addPoolCommands(program: Command, io: CliIo): void {
  const pool = program.command('pool').description('storage pools (administrators)');
  addCommonOptions(pool.command('list').description('list the pools with their room and failure domain'))
    .addHelpText('after', '\nExamples:\n  drivebay pool list\n  drivebay pool list --json')
    .action((flags: CommonFlags) =>
      withSession(io, flags, async (session) => {
        const infos = await session.client.getInfos('/admin/pools/info');
        if (session.isJson) printJson(session.io.stdout, infos);
        else {
          printTable(session.io.stdout, COLUMNS, infos);
          for (const info of infos) {
            const reason = textOf(info, 'reason');
            if (reason !== null) session.io.stdout.write(`\n${reason}\n`);
          }
        }
      }),
    );
}
