import type { User } from '../core/user.ts';
import type { Service } from '../service/service.ts';
import type { Answer } from './answers.ts';
import type { CommandFields } from './command-fields.ts';
import type { InputSpec } from './command-input.ts';
import type { Exchange } from './exchange.ts';
import type { HttpLimits } from './limits.ts';
import type { Query, QueryParameter } from './query.ts';

/** One command of the API: the listener's routes and openapi.json are made from a table of these. */
export interface Command {
  /** `GET`: changes nothing, and is taken with GET, HEAD and POST. `POST`: taken with POST only. */
  readonly method: 'GET' | 'POST';
  /** With parameters as `:name`. */
  readonly path: string;
  readonly summary: string;
  /** `anyone`: without credentials. `admin`: nobody else may know that it exists. */
  readonly access: 'anyone' | 'user' | 'admin';
  readonly parameters: readonly QueryParameter[];
  /** The keys of its body; null for a command whose body is data. */
  readonly input: InputSpec | null;
  readonly output: CommandOutput;
  run(call: CommandCall): Promise<Answer>;
}

/** What a successful answer holds, for the documents. */
export type CommandOutput = 'nothing' | 'info' | 'infos' | 'values' | 'blocks' | 'bytes' | 'document';

/** One call of a command. */
export interface CommandCall {
  readonly service: Service;
  readonly limits: HttpLimits;
  /** Who calls; commands for anyone never look at it. */
  readonly actor: User;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  /** The body's fields; empty for a command whose body is data. */
  readonly fields: CommandFields;
  /** The body as it was sent; empty for a command whose body is data. */
  readonly bodyBytes: Uint8Array;
  readonly exchange: Exchange;
}

/** A parameter of the path that the router has matched, so that it is always there. */
export function pathParam(call: CommandCall, name: string): string {
  const value = call.params[name];
  if (value === undefined) throw new Error(`the route has no parameter ${name}`);
  return value;
}
