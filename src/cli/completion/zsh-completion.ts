import { bashCompletion } from './bash-completion.ts';
import type { CompletionNode } from './completion-model.ts';

/** zsh runs bash's completions as they are, so there is one logic for both. */
export function zshCompletion(nodes: readonly CompletionNode[]): string {
  return `# Completion of drivebay for zsh: eval "$(drivebay completion zsh)"
autoload -Uz compinit bashcompinit
(( $+functions[compdef] )) || compinit
bashcompinit
${bashCompletion(nodes).split('\n').slice(1).join('\n')}`;
}
