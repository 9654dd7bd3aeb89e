import type { Command } from 'commander';
import { textOf, type Info } from '../api/api-client.ts';
import type { CliIo } from '../cli-io.ts';
import { resolveName } from '../drive-names.ts';
import { column, printJson, printTable, type Column } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags } from '../session.ts';
import { ownDrives } from './drive-scope.ts';
import { serverArgument } from './server-argument.ts';

const COLUMNS: readonly Column[] = [
  column('SERVER', 'server'),
  column('ACCESS', 'access'),
  { ...column('EPOCH', 'epoch'), alignRight: true },
  { title: 'CONNECTIONS', alignRight: true, value: connectionsOf },
  column('SINCE', 'since'),
  column('EXPIRES', 'expires'),
];

/** Whoever reaches the drive by rbd is not connected to Drivebay at all. */
function connectionsOf(claim: Info): string {
  return textOf(claim, 'protocol') ?? textOf(claim, 'connections') ?? '-';
}

const DETACH_EXAMPLES = `
The server is cut off at once; what it has not yet flushed may be lost, as when a disk is pulled. Detaching a server that
does not hold the drive does nothing.

Examples:
  drivebay detach web-1 --server 7c0a4be5-8f0e-4c83-9c55-0a4d1f0c8d11`;

/** Which servers hold a drive, and how to end that. */
export function addClaimCommands(program: Command, io: CliIo): void {
  addCommonOptions(program.command('claims').description('list the servers that hold a drive'))
    .argument('<drive>', 'UUID, name, or the start of the UUID')
    .addHelpText('after', '\nExamples:\n  drivebay claims web-1\n  drivebay claims web-1 --json')
    .action((drive: string, flags: CommonFlags) =>
      withSession(io, flags, async (session) => {
        const { id } = await resolveName(drive, ownDrives(session));
        const claims = await session.api.claims(id);
        if (session.isJson) printJson(io.stdout, claims);
        else printTable(io.stdout, COLUMNS, claims);
      }),
    );
  addCommonOptions(program.command('detach').description("end a server's claim on a drive"))
    .argument('<drive>', 'UUID, name, or the start of the UUID')
    .requiredOption('--server <uuid>', 'the server', serverArgument)
    .addHelpText('after', DETACH_EXAMPLES)
    .action((drive: string, flags: CommonFlags & { readonly server: string }) =>
      withSession(io, flags, async (session) => {
        const { id } = await resolveName(drive, ownDrives(session));
        await session.api.release(id, flags.server);
        if (session.isJson) printJson(io.stdout, { drive: id, released: flags.server });
      }),
    );
}
