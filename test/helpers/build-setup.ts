import { build } from '../../scripts/build.ts';
import { BUILD_DIRECTORY } from './built-command.ts';

/** Builds what the end-to-end tests run. */
export async function setup(): Promise<void> {
  await build(BUILD_DIRECTORY);
}
