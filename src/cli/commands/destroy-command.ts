import type { Command } from 'commander';
import { CliError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { resolveNames } from '../drive-names.ts';
import { printJson } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags, type Session } from '../session.ts';
import { ownDrives } from './drive-scope.ts';

const EXAMPLES = `
Its data cannot be brought back. All names are looked up before the first drive is destroyed.

Examples:
  drivebay destroy web-1
  drivebay destroy $(drivebay list --tag old --ids)`;

export function addDestroyCommand(program: Command, io: CliIo): void {
  addCommonOptions(program.command('destroy').description('destroy drives and what is on them'))
    .argument('<drives...>', 'UUIDs, names, or starts of UUIDs')
    .addHelpText('after', EXAMPLES)
    .action((drives: string[], flags: CommonFlags) =>
      withSession(io, flags, (session) => destroy(session, drives)),
    );
}

/** One that cannot be destroyed does not keep the others. */
async function destroy(session: Session, drives: readonly string[]): Promise<void> {
  const ids = [...new Set((await resolveNames(drives, ownDrives(session))).map(({ id }) => id))];
  const failures: CliError[] = [];
  const destroyed: string[] = [];
  for (const id of ids) {
    try {
      await session.api.destroy(id);
      destroyed.push(id);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      failures.push(error);
    }
  }
  if (session.isJson) printJson(session.io.stdout, { destroyed });
  const [first] = failures;
  if (first === undefined) return;
  const others = failures.length > 1 ? ` (and ${failures.length - 1} more could not be destroyed)` : '';
  throw new CliError(first.code, first.message + others, first);
}
