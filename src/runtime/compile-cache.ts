import { lstatSync, mkdirSync } from 'node:fs';
import { enableCompileCache, flushCompileCache } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FOLDER_MODE = 0o700;
const RIGHTS_OF_OTHERS = 0o077;

/**
 * Has Node keep what it compiles for the next start, also in worker threads that are started afterwards: compiling takes more
 * than half of the time that a command needs to start, and each thread holds a compiler for TypeScript without it.
 * Whoever can write there can run code in this process, so it is a folder of this user's alone, or nothing is kept.
 * `NODE_COMPILE_CACHE` and `NODE_DISABLE_COMPILE_CACHE` mean what they mean to Node.
 */
export function keepCompiled(environment: NodeJS.ProcessEnv = process.env): void {
  if (environment['NODE_COMPILE_CACHE'] !== undefined) return;
  const folder = join(tmpdir(), `drivebay-compiled-${process.getuid?.() ?? 'user'}`);
  if (!isOursAlone(folder)) return;
  enableCompileCache(folder);
  // Threads do not take it over from the thread that starts them, but from here.
  environment['NODE_COMPILE_CACHE'] = folder;
}

/** Keeps what this thread has compiled so far, which otherwise is kept only when it ends in good order. */
export function keepCompiledSoFar(): void {
  flushCompileCache();
}

/** Whether nobody else can write to the folder, which is made if it is not there. */
export function isOursAlone(folder: string, userId = process.getuid?.()): boolean {
  try {
    mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
    const stats = lstatSync(folder);
    const isOurs = userId === undefined || stats.uid === userId;
    return stats.isDirectory() && isOurs && (stats.mode & RIGHTS_OF_OTHERS) === 0;
  } catch {
    // No place to keep anything, which only makes the next start slower.
    return false;
  }
}
