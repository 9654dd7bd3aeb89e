import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { GENERATED_SECTIONS, withSections } from './generated-sections.ts';

// Brings the generated sections of the documents up to date: `npm run docs`.

for (const [path, sections] of Object.entries(GENERATED_SECTIONS)) {
  const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
  writeFileSync(file, withSections(readFileSync(file, 'utf8'), sections));
  console.log(`${path} is current`);
}
