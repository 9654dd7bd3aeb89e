import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The directory of the package. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const NOT_OURS = new Set(['node_modules', '.git', 'dist', 'data', 'coverage']);

/** A file of the project by its path from the root, with `/`. */
export interface ProjectFile {
  readonly path: string;
  readonly text: string;
}

/** An import of one source file by another; both are paths from the root. */
export interface ImportEdge {
  readonly from: string;
  readonly to: string;
}

/** Every text file of the project whose name ends in one of these, in the order of their paths. */
export function projectFiles(endings: readonly string[], under = ''): readonly ProjectFile[] {
  return readdirSync(join(ROOT, under), { withFileTypes: true })
    .filter((entry) => !NOT_OURS.has(entry.name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = under === '' ? entry.name : `${under}/${entry.name}`;
      if (entry.isDirectory()) return projectFiles(endings, path);
      const isWanted = entry.isFile() && endings.some((ending) => entry.name.endsWith(ending));
      return isWanted ? [{ path, text: readFileSync(join(ROOT, path), 'utf8') }] : [];
    });
}

/** Every import of another file of the project, of types as well, in whatever form; a worker's file counts as imported. */
export function importEdges(file: ProjectFile): readonly ImportEdge[] {
  const specifier = /(?:\bfrom|\bimport|\bimport\(|\bworkerUrl\()\s*['"](\.[^'"]+)['"]/g;
  return [...file.text.matchAll(specifier)].map((match) => ({
    from: file.path,
    to: normalize(join(dirname(file.path), match[1] ?? '')).replaceAll('\\', '/'),
  }));
}
