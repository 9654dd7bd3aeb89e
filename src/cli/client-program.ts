import { Command, CommanderError } from 'commander';
import { CliError } from './cli-error.ts';
import type { CliIo, ExitCode } from './cli-io.ts';
import { addCompletionCommand } from './completion/completion-command.ts';
import { addAttachCommand } from './commands/attach-command.ts';
import { addClaimCommands } from './commands/claim-commands.ts';
import { addCreateCommand } from './commands/create-command.ts';
import { addDestroyCommand } from './commands/destroy-command.ts';
import { addDownloadCommand } from './commands/download-command.ts';
import { addImageCommand } from './commands/image-command.ts';
import { addInfoCommand } from './commands/info-command.ts';
import { addKeyCommands } from './commands/key-commands.ts';
import { addListCommand } from './commands/list-command.ts';
import { addMoveCommand } from './commands/move-command.ts';
import { addNodesCommand } from './commands/nodes-command.ts';
import { addPoolCommands } from './commands/pool-commands.ts';
import { addSetCommand } from './commands/set-command.ts';
import { addTopCommand } from './commands/top-command.ts';
import { addUploadCommand } from './commands/upload-command.ts';
import { addUserCommands } from './commands/user-commands.ts';

const ENVIRONMENT = `
Environment:
  DRIVEBAY_URL       the server (also EHURI); default http://127.0.0.1:8600
  DRIVEBAY_AUTH      USER:KEY (also EHAUTH); default: admin-credentials in the server's data directory, if readable
  DRIVEBAY_DATA_DIR  that data directory; default ./data
  DRIVEBAY_CA        PEM file of a private certificate authority

Exit codes: 0 done, 1 the server or the operation failed, 2 usage. An error is one line on stderr; with --json it is
{"error": WORD, "message": SENTENCE}.

Examples:
  drivebay upload debian.img --create --name debian-12
  drivebay create --size 20G --name web-1
  drivebay image debian-12 web-1 --wait
  drivebay download web-1 web-1.img
  drivebay top`;

/** All client commands; `serve` is added by whoever knows the server. */
export function createClientProgram(io: CliIo): Command {
  const program = new Command('drivebay')
    .description('drives as a service')
    .version(io.version, '--version', 'print the version')
    .helpOption('--help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      // Said by runClient, in one line and in JSON where that is wanted.
      outputError: () => undefined,
    })
    .addHelpText('after', ENVIRONMENT);
  addListCommand(program, io);
  addInfoCommand(program, io);
  addCreateCommand(program, io);
  addSetCommand(program, io);
  addDestroyCommand(program, io);
  addImageCommand(program, io);
  addUploadCommand(program, io);
  addDownloadCommand(program, io);
  addAttachCommand(program, io);
  addClaimCommands(program, io);
  addTopCommand(program, io);
  addUserCommands(program, io);
  addPoolCommands(program, io);
  addMoveCommand(program, io);
  addNodesCommand(program, io);
  addKeyCommands(program, io);
  addCompletionCommand(program, io);
  program
    .command('version')
    .description('print the version')
    .option('--json', 'print JSON')
    .action(({ json }: { json?: boolean }) => {
      io.stdout.write(json === true ? `${JSON.stringify({ version: io.version })}\n` : `${io.version}\n`);
    });
  return program;
}

/** Runs a command line (without node and script) and sets the exit code; never throws. */
export async function runClient(program: Command, args: readonly string[], io: CliIo): Promise<void> {
  try {
    await program.parseAsync(args, { from: 'user' });
    io.setExitCode(0);
  } catch (error) {
    const { code, message, exitCode } = describe(error);
    io.setExitCode(exitCode);
    if (message === null) return;
    const isJson = args.includes('--json');
    io.stderr.write(isJson ? `${JSON.stringify({ error: code, message })}\n` : `drivebay: ${message}\n`);
    const isDebug = (io.env['DRIVEBAY_DEBUG'] ?? '') !== '';
    if (isDebug && error instanceof Error) io.stderr.write(`${error.stack}\n`);
  }
}

/** The message is null where what was asked for, help or the version, is already printed. */
function describe(error: unknown): { code: string; message: string | null; exitCode: ExitCode } {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return { code: 'done', message: null, exitCode: 0 };
    const isHelp = error.code === 'commander.help';
    const message = error.message
      .replace(/^error: /, '')
      .replaceAll('\n', ' ')
      .replace(/\.$/, '');
    return { code: 'usage', message: isHelp ? null : message, exitCode: 2 };
  }
  if (error instanceof CliError)
    return { code: error.code, message: oneLine(error.message), exitCode: error.exitCode };
  return {
    code: 'failed',
    message: oneLine(error instanceof Error ? error.message : String(error)),
    exitCode: 1,
  };
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ');
}
