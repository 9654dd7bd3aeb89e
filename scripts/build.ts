import { copyFileSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

// The program of the package: all sources and libraries in a few files, which start in half the time that hundreds take.

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** What is started by its file's name: the command, and the threads, which `workerUrl` looks for beside whoever starts them. */
const ENTRIES = [
  'src/main.ts',
  'src/data-workers/data-thread.ts',
  'src/imaging/imaging-thread.ts',
  'src/metadata/sqlite/sqlite-thread.ts',
];
const WASM = 'src/crypto/xts.wasm';
/** It has a compiled part for each platform, and is installed with the package. */
const INSTALLED = ['koffi'];
const NOTICES = 'THIRD-PARTY-NOTICES.txt';

/** Builds the program into a directory of its own, which is made anew. */
export async function build(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  await using bundle = await rolldown({ cwd: ROOT, input: ENTRIES, platform: 'node', external: INSTALLED });
  const { output } = await bundle.write({
    dir: directory,
    format: 'esm',
    comments: false,
    plugins: [{ name: 'ascii', renderChunk: escapeNonAscii }],
  });
  copyFileSync(join(ROOT, WASM), join(directory, 'xts.wasm'));
  const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
  writeFileSync(join(directory, NOTICES), noticesOf(new Set(modules.map(packageOf))));
}

/**
 * Writes what is not ASCII as escapes, which mean the same in strings and in regular expressions, where alone it is left: one
 * such character makes Node decode a whole file with care, and keep it in twice the memory.
 */
function escapeNonAscii(code: string): string {
  return code.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The directory of the library that a module belongs to; null for our own. */
function packageOf(module: string): string | null {
  const parts = relative(ROOT, module).split(sep);
  const at = parts.lastIndexOf('node_modules');
  if (at === -1) return null;
  return parts.slice(0, at + (parts[at + 1]?.startsWith('@') === true ? 3 : 2)).join(sep);
}

/** What the licences of the libraries want said of each wherever it goes. */
function noticesOf(packages: ReadonlySet<string | null>): string {
  const notices = [...packages].filter((path) => path !== null).toSorted();
  return notices.map((path) => noticeOf(join(ROOT, path))).join(`\n${'-'.repeat(80)}\n\n`);
}

function noticeOf(path: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
    license?: string;
  };
  if (license === undefined) throw new Error(`${name} does not say under which licence it is.`);
  const texts = globSync('{LICENSE,LICENCE,license,NOTICE}*', { cwd: path }).toSorted();
  const text = texts.map((file) => readFileSync(join(path, file), 'utf8').trimEnd()).join('\n\n');
  return `${name} ${version}, ${license}\n\n${text}\n`;
}

if (import.meta.main) await build(join(ROOT, 'dist'));
