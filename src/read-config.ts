import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { CliError } from './cli/cli-error.ts';
import { ConfigError } from './config/config.ts';
import type { Config } from './config/config.ts';
import { loadConfig } from './config/load-config.ts';

/** The settings of this process and these flags. @throws CliError usage with every mistake in them */
export function readConfig(flags: Readonly<Record<string, string>>): Config {
  try {
    return loadConfig({
      flags,
      env: process.env,
      cwd: process.cwd(),
      processors: availableParallelism(),
      readFile: (path) => readFileSync(path, 'utf8'),
    });
  } catch (error) {
    if (error instanceof ConfigError) throw new CliError('usage', error.mistakes.join('\n'));
    throw error;
  }
}
