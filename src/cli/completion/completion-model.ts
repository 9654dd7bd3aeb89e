import type { Command } from 'commander';

/** What can follow a command on the command line. */
export interface CompletionNode {
  /** The words after `drivebay`, such as `user create`; empty for the program itself. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly CompletionOption[];
  /** What each argument is; the last one stands for all that follow. */
  readonly argumentKinds: readonly ArgumentKind[];
}

export interface CompletionOption {
  readonly flag: string;
  readonly description: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

export type ArgumentKind = 'drive' | 'file' | 'word';

/** Reads the tree of commands, so that completion never lags behind them. */
export function completionNodes(command: Command, path = ''): CompletionNode[] {
  const commands = command.commands.filter((child) => !child.name().startsWith('_'));
  const node: CompletionNode = {
    path,
    commands: commands.map((child) => ({ name: child.name(), description: child.description() })),
    options: [...command.options.filter((option) => !option.hidden).map(toOption), HELP],
    argumentKinds: command.registeredArguments.map((argument) => argumentKind(argument.name())),
  };
  const children = commands.map((child) => completionNodes(child, `${path} ${child.name()}`.trim()));
  return [node, ...children.flat()];
}

const HELP: CompletionOption = { flag: '--help', description: 'show help', takesValue: false, choices: [] };

function toOption(option: Command['options'][number]): CompletionOption {
  return {
    flag: option.long ?? option.short ?? '',
    description: option.description,
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? [],
  };
}

function argumentKind(name: string): ArgumentKind {
  if (['drive', 'drives', 'source', 'target'].includes(name)) return 'drive';
  return name === 'file' ? 'file' : 'word';
}
