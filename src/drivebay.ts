import { createClientProgram, runClient } from './cli/client-program.ts';
import { processIo } from './cli/process-io.ts';
import { configHelp, flagHelps } from './config/config-help.ts';
import { loadPairHashing } from './runtime/sha256-pair.ts';
import { nextDataBytes } from './runtime/sparse-file.ts';

/** Runs one command line of `drivebay`: `serve`, or a client command. */
export async function runDrivebay(args: readonly string[]): Promise<void> {
  const { isFaster, sha256Pair } = loadPairHashing();
  const io = processIo({ nextDataBytes, sha256Pair: isFaster ? sha256Pair : undefined });
  const program = createClientProgram(io);
  const serve = program
    .command('serve')
    .description('run the server')
    .addHelpText('after', `\n${configHelp()}\n\nExample:\n  drivebay serve --data-dir /var/lib/drivebay`);
  for (const { flag, placeholder, help } of flagHelps()) {
    serve.option(placeholder === '' ? flag : `${flag} <${placeholder}>`, help);
  }
  serve.action(async (options: Readonly<Record<string, unknown>>) => {
    // Loaded only here: a client command has no use for the server and should not wait for it.
    const { runServer } = await import('./serve.ts');
    await runServer(flagsOf(options));
  });
  await runClient(program, args, io);
}

/** Back from the parser's names to flags: `dataDir` is `--data-dir`. */
function flagsOf(options: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
      String(value),
    ]),
  );
}
