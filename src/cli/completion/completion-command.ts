import { Argument, type Command } from 'commander';
import { textOf } from '../api/api-client.ts';
import type { CliIo } from '../cli-io.ts';
import { withSession } from '../session.ts';
import { bashCompletion } from './bash-completion.ts';
import { completionNodes, type CompletionNode } from './completion-model.ts';
import { fishCompletion } from './fish-completion.ts';
import { zshCompletion } from './zsh-completion.ts';

type Shell = 'bash' | 'zsh' | 'fish';

const SCRIPTS: Readonly<Record<Shell, (nodes: readonly CompletionNode[]) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

const EXAMPLES = `
Examples:
  eval "$(drivebay completion bash)"
  drivebay completion fish > ~/.config/fish/completions/drivebay.fish`;

export function addCompletionCommand(program: Command, io: CliIo): void {
  program
    .command('completion')
    .description('print a script that completes commands, options and drives')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(SCRIPTS)))
    .addHelpText('after', EXAMPLES)
    // The tree is read when the script is asked for: commands may have been added since.
    .action((shell: Shell) => void io.stdout.write(SCRIPTS[shell](completionNodes(program))));
  program
    .command('__drives', { hidden: true })
    .description('what completion asks for: names and UUIDs of drives')
    .action(() =>
      withSession(io, {}, async ({ api }) => {
        for (const info of await api.infos()) {
          const name = textOf(info, 'name') ?? '';
          // A name that a shell would take apart is left out; its UUID completes.
          io.stdout.write(`${/^[\w.:@%+-]+$/.test(name) ? `${name}\n` : ''}${textOf(info, 'drive')}\n`);
        }
      }),
    );
}
