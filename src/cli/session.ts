import type { Command } from 'commander';
import { ApiClient } from './api/api-client.ts';
import { credentialsHint, resolveAccess, type AccessFlags } from './api/credentials.ts';
import { DriveApi } from './api/drive-api.ts';
import { retrying } from './api/retrying-transport.ts';
import type { CliIo } from './cli-io.ts';

/** What every command that talks to a server takes. */
export interface CommonFlags extends AccessFlags {
  readonly json?: boolean | undefined;
}

/** One command's dealings with the server. */
export interface Session {
  readonly io: CliIo;
  /** The server, without credentials. */
  readonly url: URL;
  readonly client: ApiClient;
  readonly api: DriveApi;
  readonly isJson: boolean;
}

/** Connections of a command that asks one thing after the other, or a few at once. */
const FEW_CONNECTIONS = 4;

export function addCommonOptions(command: Command): Command {
  return command
    .option('--json', 'print JSON')
    .option('--url <url>', 'the server (default: DRIVEBAY_URL, EHURI, http://127.0.0.1:8600)')
    .option('--auth <user:key>', 'credentials; others can see them in ps: prefer DRIVEBAY_AUTH or EHAUTH')
    .option('--ca <file>', 'trust this private certificate authority, PEM (default: DRIVEBAY_CA)');
}

export interface SessionOptions {
  /** The most connections at once; a few when absent. */
  readonly connections?: number;
  /** Whether what failed for a passing reason is sent again, as it is when absent. */
  readonly isRetrying?: boolean;
}

/** Opens a session, does the work and closes the connections whatever comes. */
export async function withSession<Result>(
  io: CliIo,
  flags: CommonFlags,
  work: (session: Session) => Promise<Result>,
  { connections = FEW_CONNECTIONS, isRetrying = true }: SessionOptions = {},
): Promise<Result> {
  const access = resolveAccess(flags, io.env);
  const transport = io.openTransport({ ...access, connections });
  const client = new ApiClient(isRetrying ? retrying(transport, io) : transport, credentialsHint(io.env));
  try {
    return await work({
      io,
      url: access.url,
      client,
      api: new DriveApi(client),
      isJson: flags.json === true,
    });
  } finally {
    client.close();
  }
}
