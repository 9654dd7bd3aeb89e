import type { Command } from 'commander';
import type { CliIo } from './cli/cli-io.ts';
import { createClientProgram, runClient } from './cli/client-program.ts';
import { processIo } from './cli/process-io.ts';
import { configHelp, flagHelps } from './config/config-help.ts';
import type { FlagHelp } from './config/config-help.ts';
import { preferHugePages } from './runtime/huge-pages.ts';
import { loadPairHashing } from './runtime/sha256-pair.ts';
import { nextDataBytes } from './runtime/sparse-file.ts';

/** Runs one command line of `drivebay`: one that needs the server's own code, or a client command. */
export async function runDrivebay(args: readonly string[]): Promise<void> {
  const { sha256InThread } = loadPairHashing();
  const io = processIo({
    nextDataBytes,
    preferHugePages,
    sha256InThread,
  });
  const program = createClientProgram(io);
  addServeCommand(program);
  addMigrateMetadataCommand(program, io);
  await runClient(program, args, io);
}

function addServeCommand(program: Command): void {
  const serve = program
    .command('serve')
    .description('run the server')
    .addHelpText('after', `\n${configHelp()}\n\nExample:\n  drivebay serve --data-dir /var/lib/drivebay`);
  addSettingOptions(serve, flagHelps());
  serve.action(async (options: Options) => {
    // Loaded only here: a client command has no use for the server and should not wait for it.
    const { runServer } = await import('./serve.ts');
    await runServer(flagsOf(options));
  });
}

/** The settings that moving metadata depends on. */
const MIGRATION_FLAGS: ReadonlySet<string> = new Set([
  '--config',
  '--data-dir',
  '--metadata',
  '--metadata-ca',
  '--metadata-timeout-seconds',
]);

function addMigrateMetadataCommand(program: Command, { stdout }: CliIo): void {
  const command = program
    .command('migrate-metadata')
    .description("move a stopped server's metadata from SQLite into an empty PostgreSQL database")
    .addHelpText(
      'after',
      '\nExample:\n  drivebay migrate-metadata --data-dir /var/lib/drivebay --metadata postgres://drivebay@db/drivebay',
    );
  addSettingOptions(
    command,
    flagHelps().filter(({ flag }) => MIGRATION_FLAGS.has(flag)),
  );
  command
    .option('--undo', 'let the server use its SQLite database again, as it was before the move')
    .option('--json', 'print JSON');
  command.action(async ({ undo, json, ...options }: Options) => {
    const { migrateMetadata } = await import('./migrate-metadata.ts');
    await migrateMetadata({
      flags: flagsOf(options),
      isUndo: undo === true,
      isJson: json === true,
      print: (text) => stdout.write(text),
    });
  });
}

type Options = Readonly<Record<string, unknown>>;

function addSettingOptions(command: Command, helps: readonly FlagHelp[]): void {
  for (const { flag, placeholder, help } of helps) {
    command.option(placeholder === '' ? flag : `${flag} <${placeholder}>`, help);
  }
}

/** Back from the parser's names to flags: `dataDir` is `--data-dir`. */
function flagsOf(options: Options): Record<string, string> {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
      String(value),
    ]),
  );
}
