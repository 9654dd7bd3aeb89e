import type { Command } from 'commander';
import type { CliIo } from '../cli-io.ts';
import { column, printJson, printTable, type Column } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags } from '../session.ts';

const COLUMNS: readonly Column[] = [
  column('NODE', 'node'),
  column('HOST', 'host'),
  column('ADDRESS', 'address'),
  column('STATE', 'state'),
  column('VERSION', 'version'),
  column('STARTED', 'started'),
  column('HEARTBEAT', 'heartbeat'),
];

/** The command of administrators about the servers themselves. */
export function addNodesCommand(program: Command, io: CliIo): void {
  addCommonOptions(
    program.command('nodes').description('list the nodes of the installation (administrators)'),
  )
    .addHelpText('after', '\nExamples:\n  drivebay nodes\n  drivebay nodes --json')
    .action((flags: CommonFlags) =>
      withSession(io, flags, async (session) => {
        const infos = await session.client.getInfos('/admin/nodes');
        if (session.isJson) printJson(session.io.stdout, infos);
        else printTable(session.io.stdout, COLUMNS, infos);
      }),
    );
}
