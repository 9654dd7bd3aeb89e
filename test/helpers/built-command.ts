import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Not dist/, which a test makes anew; what is not built in is found from here too. */
export const BUILD_DIRECTORY = fileURLToPath(new URL('../../node_modules/.drivebay-tests', import.meta.url));

/** The command as it is in the package, which build-setup.ts makes before the tests of a project that runs it. */
export const BUILT_MAIN = join(BUILD_DIRECTORY, 'main.js');
