import { lstatSync, mkdirSync } from 'node:fs';
import { lstat, readdir, rmdir, unlink, writeFile } from 'node:fs/promises';
import { enableCompileCache, flushCompileCache } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FOLDER_MODE = 0o700;
const RIGHTS_OF_OTHERS = 0o077;
/** What no start has read for so long is of another version of Node or of the program, or of another place. */
const UNUSED_MS = 30 * 24 * 60 * 60 * 1000;
/** Looking at all that many versions have left takes as long as a start: done once in so long, whoever starts. */
const PRUNE_INTERVAL_MS = 24 * 60 * 60 * 1000;
/** A file of which the time of writing tells when that was. */
const PRUNED_MARK = 'pruned';

/**
 * Has Node keep what it compiles for the next start, also in worker threads that are started afterwards: compiling takes more
 * than half of the time that a command needs to start, and each thread holds a compiler for TypeScript without it.
 * Whoever can write there can run code in this process, so it is a folder of this user's alone, or nothing is kept.
 * `NODE_COMPILE_CACHE` and `NODE_DISABLE_COMPILE_CACHE` mean what they mean to Node.
 */
export function keepCompiled(environment: NodeJS.ProcessEnv = process.env): void {
  if (environment['NODE_COMPILE_CACHE'] !== undefined) return;
  const folder = ownFolder();
  if (!isOursAlone(folder)) return;
  enableCompileCache(folder);
  // Threads do not take it over from the thread that starts them, but from here.
  environment['NODE_COMPILE_CACHE'] = folder;
}

/** Keeps what this thread has compiled so far, which otherwise is kept only when it ends in good order. */
export function keepCompiledSoFar(): void {
  flushCompileCache();
}

/**
 * Removes from the folder of `keepCompiled` what has not been used for a month, once a day; any other folder is not Drivebay's
 * to empty. What another process needs all the same, it compiles again. Never rejects.
 *
 * @param signal ends it early
 */
export async function pruneCompiled(nowMs: number, signal: AbortSignal): Promise<void> {
  const folder = ownFolder();
  if (process.env['NODE_COMPILE_CACHE'] !== folder || !isOursAlone(folder)) return;
  if (await isDue(join(folder, PRUNED_MARK), nowMs)) await removeUnused(folder, nowMs - UNUSED_MS, signal);
}

async function isDue(mark: string, nowMs: number): Promise<boolean> {
  try {
    const { mtimeMs } = await lstat(mark).catch(() => ({ mtimeMs: 0 }));
    if (Math.abs(nowMs - mtimeMs) < PRUNE_INTERVAL_MS) return false;
    await writeFile(mark, '');
    return true;
  } catch {
    // Where nothing can be written nothing can be removed.
    return false;
  }
}

async function removeUnused(folder: string, beforeMs: number, signal: AbortSignal): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (signal.aborted) return;
    const path = join(folder, name);
    try {
      const stats = await lstat(path);
      // Of a file system that keeps no times of reading there is the time of writing.
      const isOld = Math.max(stats.mtimeMs, stats.isDirectory() ? 0 : stats.atimeMs) < beforeMs;
      if (stats.isDirectory()) await removeUnused(path, beforeMs, signal);
      // A folder goes a month after the last of its files, so that none goes that somebody has just made.
      if (isOld) await (stats.isDirectory() ? rmdir(path) : unlink(path));
    } catch {
      // Another process has removed it, or keeps something there.
    }
  }
}

function ownFolder(): string {
  return join(tmpdir(), `drivebay-compiled-${process.getuid?.() ?? 'user'}`);
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
