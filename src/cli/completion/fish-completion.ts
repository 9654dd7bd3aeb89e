import type { CompletionNode, CompletionOption } from './completion-model.ts';

/** A script for fish. */
export function fishCompletion(nodes: readonly CompletionNode[]): string {
  const lines = nodes.flatMap((node) => [
    ...commandLines(node),
    ...optionLines(node),
    ...argumentLines(node),
  ]);
  return `# Completion of drivebay for fish: drivebay completion fish | source
function __drivebay_at
    set -l words (commandline -opc | string match -v -- '-*')
    set -l wanted drivebay $argv
    test (count $words) -ge (count $wanted); and test "$words[1..$(count $wanted)]" = "$wanted"
end
complete -c drivebay -f
${lines.join('\n')}
`;
}

function condition(path: string): string {
  return quote(`__drivebay_at ${path}`.trim());
}

function commandLines({ path, commands }: CompletionNode): string[] {
  const names = commands.map(({ name }) => name).join(' ');
  const here = quote(`__drivebay_at ${path}; and not __fish_seen_subcommand_from ${names}`);
  return commands.map(
    ({ name, description }) => `complete -c drivebay -n ${here} -a ${name} -d ${quote(description)}`,
  );
}

function optionLines({ path, options }: CompletionNode): string[] {
  return options.map((option) => {
    const flag = `-l ${option.flag.replace(/^--/, '')} -d ${quote(option.description)}`;
    return `complete -c drivebay -n ${condition(path)} ${flag}${valuePart(option)}`;
  });
}

function valuePart({ takesValue, choices }: CompletionOption): string {
  if (!takesValue) return '';
  return choices.length > 0 ? ` -x -a ${quote(choices.join(' '))}` : ' -r -F';
}

function argumentLines({ path, argumentKinds }: CompletionNode): string[] {
  const lines: string[] = [];
  const here = condition(path);
  if (argumentKinds.includes('drive'))
    lines.push(`complete -c drivebay -n ${here} -a '(drivebay __drives 2>/dev/null)'`);
  if (argumentKinds.includes('file')) lines.push(`complete -c drivebay -n ${here} -F`);
  return lines;
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`;
}
