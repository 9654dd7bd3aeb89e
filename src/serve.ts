import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from './compose.ts';
import type { RunningServer } from './compose.ts';
import type { Config } from './config/config.ts';
import { readConfig } from './read-config.ts';
import { keepCompiledSoFar, pruneCompiled } from './runtime/compile-cache.ts';
import type { CredentialKeeper, Credentials } from './service/start-up.ts';
import { systemClock } from './runtime/clock.ts';
import { createLifecycle } from './runtime/lifecycle.ts';
import { createLog } from './runtime/log.ts';
import { waitForStopSignal } from './runtime/stop-signal.ts';

/** Runs the server until it is told to stop; returns once everything is drained. */
export async function runServer(flags: Readonly<Record<string, string>>): Promise<void> {
  const config = readConfig(flags);
  const log = createLog({ level: config.logLevel });
  const stopSignal = waitForStopSignal({ events: process, exit: (code) => process.exit(code) });
  await using lifecycle = createLifecycle({
    onStopped: (name) => log.debug({ part: name }, 'stopped'),
    onStopFailed: (name, error) => log.error({ part: name, err: error }, 'could not be stopped'),
  });
  const crash = (error: Error): void => {
    log.fatal({ err: error }, 'a thread has died; what was acknowledged is on disk');
    process.exit(1);
  };
  const server = await startServer({ config, log, lifecycle, crash, credentialKeeper: keeperOf(config) });
  if (server.firstUser !== null && config.firstAdmin === null)
    announceFirstUser(config, server, server.firstUser);
  log.info({ url: server.address.url, dataDirectory: config.dataDirectory }, 'ready');
  // One that is killed starts as fast as one that was stopped.
  keepCompiledSoFar();
  const ending = new AbortController();
  const pruning = pruneCompiled(systemClock.nowMs(), ending.signal);
  lifecycle.own('pruning of compiled code', async () => {
    ending.abort();
    await pruning;
  });
  const signal = await stopSignal;
  log.info({ signal }, 'stopping');
}

/** Where the first user's credentials are kept. */
function credentialsFile(config: Config): string {
  return join(config.dataDirectory, 'admin-credentials');
}

function keeperOf(config: Config): CredentialKeeper {
  const path = credentialsFile(config);
  return {
    keep({ userId, key }) {
      const text = `# Drivebay's first admin user, made at first start.\nDRIVEBAY_AUTH=${userId}:${key}\n`;
      writeFileSync(path, text, { mode: 0o600, flush: true });
    },
    forget: () => rmSync(path, { force: true }),
  };
}

/** Shows the first user's credentials this once, with something to paste. */
function announceFirstUser(config: Config, { address }: RunningServer, { userId, key }: Credentials): void {
  process.stderr.write(
    `First start. This admin user was made; its key is not shown again, but kept in ${credentialsFile(config)}:
  user  ${userId}
  key   ${key}
Try it:
  curl -u ${userId}:${key} -d 'name first
size 1G' ${address.url}/drives/create
`,
  );
}
