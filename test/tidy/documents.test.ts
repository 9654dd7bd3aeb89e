import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { GENERATED_SECTIONS, withSections } from '../../scripts/generated-sections.ts';
import { POOL_KEYS } from '../../src/config/pool-settings.ts';
import { RBD_KEYS } from '../../src/config/rbd-settings.ts';
import { SETTING_ENTRIES } from '../../src/config/settings.ts';
import { ERROR_TABLE } from '../../src/http/error-table.ts';
import * as numbers from '../../src/nbd/protocol-numbers.ts';
import { projectFiles, ROOT } from './source-tree.ts';

const documents = projectFiles(['.md']);

function textOf(path: string): string {
  const text = documents.find((document) => document.path === path)?.text;
  if (text === undefined) throw new Error(`${path} is missing`);
  return text;
}

/** The anchors of a document as GitHub makes them out of its headings. */
function anchorsOf(text: string): readonly string[] {
  return [...text.matchAll(/^#+ +(.+)$/gm)].map((match) =>
    (match[1] ?? '')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function brokenLinks(path: string, text: string): readonly string[] {
  const withoutCode = text.replaceAll(/^```[\s\S]*?^```/gm, '').replaceAll(/`[^`\n]*`/g, '');
  const targets = [...withoutCode.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? '');
  return targets.flatMap((target) => {
    if (/^[a-z]+:/.test(target)) return [];
    const [file = '', anchor] = target.split('#');
    const linked = file === '' ? path : join(dirname(path), file);
    if (!existsSync(join(ROOT, linked))) return [`${path}: ${target} leads nowhere`];
    const known =
      anchor === undefined ||
      !linked.endsWith('.md') ||
      anchorsOf(file === '' ? text : textOf(linked)).includes(anchor);
    return known ? [] : [`${path}: ${target} leads to no heading`];
  });
}

test.each(Object.entries(GENERATED_SECTIONS))(
  'the tables in %s are current (npm run docs)',
  (path, sections) => {
    const text = textOf(path);
    expect(withSections(text, sections)).toBe(text);
  },
);

test('every setting and every error is in one of these tables', () => {
  const generated = Object.values(GENERATED_SECTIONS).flatMap(Object.values).join('\n');
  const settings = SETTING_ENTRIES.flatMap(([, { fileKey, env, flag }]) => [fileKey, env, flag]);
  const errors = Object.values(ERROR_TABLE).map(({ type }) => type);
  const names = [...settings, ...errors, ...Object.keys(POOL_KEYS), ...Object.keys(RBD_KEYS)].filter(
    (name) => name !== null,
  );
  expect(names.filter((name) => !generated.includes(`\`${name}\``))).toEqual([]);
});

test('every option, reply, info, command, flag and error of NBD is in its document', () => {
  const text = textOf('docs/protocol/nbd.md');
  const named = Object.entries({
    NBD_OPT: numbers.NBD_OPT,
    NBD_REP: numbers.NBD_REP,
    NBD_INFO: numbers.NBD_INFO,
    NBD_CMD: numbers.NBD_CMD,
    NBD_CMD_FLAG: numbers.NBD_CMD_FLAG,
    NBD_REPLY_TYPE: numbers.NBD_REPLY_TYPE,
    NBD_STATE: numbers.NBD_STATE,
    NBD: numbers.NBD_ERROR,
  }).flatMap(([group, members]) => Object.keys(members).map((name) => `${group}_${name}`));
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
});

describe('links', () => {
  test('every link in a document leads to something', () => {
    expect(documents.flatMap(({ path, text }) => brokenLinks(path, text))).toEqual([]);
  });

  test('a broken one is found', () => {
    const text =
      '# A heading\n[a](#a-heading) [b](nowhere.md) [c](#nothing) [d](https://example.org) `[e](f)`';
    expect(brokenLinks('docs/operating.md', text)).toEqual([
      'docs/operating.md: nowhere.md leads nowhere',
      expect.stringContaining('#nothing leads to no heading'),
    ]);
  });
});
