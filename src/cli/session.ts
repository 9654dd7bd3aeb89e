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

/** Opens a session, does the work and closes the connections whatever comes. */
export async function withSession<Result>(
  io: CliIo,
  flags: CommonFlags,
  work: (session: Session) => Promise<Result>,
  connections: number = FEW_CONNECTIONS,
): Promise<Result> {
  const access = resolveAccess(flags, io.env);
  const client = new ApiClient(
    retrying(io.openTransport({ ...access, connections }), io),
    credentialsHint(io.env),
  );
  try {
    return await work({ io, client, api: new DriveApi(client), isJson: flags.json === true });
  } finally {
    client.close();
  }
}
