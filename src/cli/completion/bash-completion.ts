import type { CompletionNode } from './completion-model.ts';

/** A script for bash. Drives are asked for when they are wanted; a server that does not answer completes nothing. */
export function bashCompletion(nodes: readonly CompletionNode[]): string {
  return `# Completion of drivebay for bash: eval "$(drivebay completion bash)"
_drivebay() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local path="" argument=0 skip="" word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if [[ -n $skip ]]; then skip=""; continue; fi
    if [[ $word == -?* ]]; then
      case "$path|$word" in ${valueFlagPattern(nodes)}) skip=1 ;; esac
      continue
    fi
    case "$path|$word" in
      ${descentPattern(nodes)}) path="\${path:+$path }$word" ;;
      *) argument=$((argument + 1)) ;;
    esac
  done
  case "$path|$previous" in
${choiceCases(nodes)}
    ${valueFlagPattern(nodes)}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  local words="" kinds=""
  case "$path" in
${nodeCases(nodes)}
  esac
  if [[ $current != -* && -n $kinds ]]; then
    local -a kind=($kinds)
    ((argument >= \${#kind[@]})) && argument=$((\${#kind[@]} - 1))
    case "\${kind[argument]}" in
      drive) words="$(drivebay __drives 2>/dev/null)" ;;
      file) COMPREPLY=($(compgen -f -- "$current")); return ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o filenames -F _drivebay drivebay
`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function valueFlagPattern(nodes: readonly CompletionNode[]): string {
  const patterns = nodes.flatMap(({ path, options }) =>
    options.filter(({ takesValue }) => takesValue).map(({ flag }) => quote(`${path}|${flag}`)),
  );
  return patterns.length === 0 ? "''" : patterns.join('|');
}

function descentPattern(nodes: readonly CompletionNode[]): string {
  const patterns = nodes.flatMap(({ path, commands }) =>
    commands.map(({ name }) => quote(`${path}|${name}`)),
  );
  return patterns.length === 0 ? "''" : patterns.join('|');
}

function choiceCases(nodes: readonly CompletionNode[]): string {
  const cases = nodes.flatMap(({ path, options }) =>
    options
      .filter(({ choices }) => choices.length > 0)
      .map(({ flag, choices }) => {
        const words = quote(choices.join(' '));
        return `    ${quote(`${path}|${flag}`)}) COMPREPLY=($(compgen -W ${words} -- "$current")); return ;;`;
      }),
  );
  return cases.join('\n');
}

function nodeCases(nodes: readonly CompletionNode[]): string {
  const cases = nodes.map(({ path, commands, options, argumentKinds }) => {
    const words = [...commands.map(({ name }) => name), ...options.map(({ flag }) => flag)].join(' ');
    return `    ${quote(path)}) words=${quote(words)} kinds=${quote(argumentKinds.join(' '))} ;;`;
  });
  return cases.join('\n');
}
