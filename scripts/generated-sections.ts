import { poolTable, rbdTable, settingsTable } from '../src/config/config-help.ts';
import { ERROR_TABLE } from '../src/http/error-table.ts';
import { DEFAULT_HANDSHAKE_LIMITS, type HandshakeLimits, MAX_STRING_BYTES } from '../src/nbd/limits.ts';

/** What the code says better than a writer could, by document and by the name of the section in it. */
export const GENERATED_SECTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'docs/operating.md': { settings: settingsTable(), pools: poolTable() },
  'docs/operating/ceph.md': { rbd: rbdTable() },
  'docs/api/errors.md': { errors: errorTable() },
  'docs/protocol/nbd.md': { 'handshake limits': handshakeLimitsTable() },
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

function handshakeLimitsTable(): string {
  const limits = DEFAULT_HANDSHAKE_LIMITS;
  const meanings: Readonly<Record<keyof HandshakeLimits, string>> = {
    optionBytes: `option data | ${limits.optionBytes} bytes`,
    options: `options of one connection | ${limits.options}`,
    handshakeBytes: `all that a client sends before the transmission | ${limits.handshakeBytes} bytes`,
    handshakeMs: `from the connection to the transmission, with TLS and penalties | ${limits.handshakeMs} ms`,
    closingMs: `after \`NBD_OPT_ABORT\` is acknowledged | ${limits.closingMs} ms`,
    stoppingMs: `to go on when the server stops | ${limits.stoppingMs} ms`,
  };
  const names = `an export's name, and any other string | ${MAX_STRING_BYTES} bytes`;
  return ['what | limit', '--- | ---', ...Object.values(meanings), names]
    .map((row) => `| ${row} |`)
    .join('\n');
}
