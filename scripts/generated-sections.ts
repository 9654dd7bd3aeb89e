import { poolTable, settingsTable } from '../src/config/config-help.ts';
import { ERROR_TABLE } from '../src/http/error-table.ts';

/** What the code says better than a writer could, by document and by the name of the section in it. */
export const GENERATED_SECTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'docs/operating.md': { settings: settingsTable(), pools: poolTable() },
  'docs/api/errors.md': { errors: errorTable() },
};

/**
 * The document with its generated sections made anew. A section stands between `<!-- generated: NAME -->` and
 * `<!-- end -->`.
 *
 * @throws Error when the document lacks a section
 */
export function withSections(text: string, sections: Readonly<Record<string, string>>): string {
  return Object.entries(sections).reduce((document, [name, content]) => {
    const start = `<!-- generated: ${name} -->\n`;
    const from = document.indexOf(start);
    const to = document.indexOf('<!-- end -->', from);
    if (from < 0 || to < 0) throw new Error(`the section ${name} is missing`);
    return `${document.slice(0, from + start.length)}\n<!-- prettier-ignore -->\n${content}\n\n${document.slice(to)}`;
  }, text);
}

function errorTable(): string {
  const rows = Object.values(ERROR_TABLE).map(
    ({ status, type, when }) => `| ${status} | \`${type}\` | ${when} |`,
  );
  return ['| status | X-Elastic-Error | when |', '| --- | --- | --- |', ...rows].join('\n');
}
