import type { MapKey } from './map-reader.ts';
import { POOL_KEYS } from './pool-settings.ts';
import { RBD_KEYS } from './rbd-settings.ts';
import type { Setting } from './settings.ts';
import { SETTING_ENTRIES } from './settings.ts';

/** A flag of `drivebay serve`, as a command-line parser needs it. */
export interface FlagHelp {
  readonly flag: string;
  /** Empty for a switch. */
  readonly placeholder: string;
  readonly help: string;
}

/** The flags in the order of the settings. */
export function flagHelps(): readonly FlagHelp[] {
  return SETTING_ENTRIES.flatMap(([, { flag, kind, help, defaultText }]) =>
    flag === null ? [] : [{ flag, placeholder: kind.placeholder, help: `${help} Default: ${defaultText}.` }],
  );
}

/** What `serve --help` says below its flags: the environment, and the file with its list of pools. */
export function configHelp(): string {
  const variables = SETTING_ENTRIES.map(([, { env, flag, help }]) =>
    flag === null ? `  ${env}\n      ${help}` : `  ${env} (${flag})`,
  );
  return [
    'Environment (a flag counts before a variable, a variable before the file):',
    ...variables,
    '',
    `File (--config, YAML) with the keys ${fileKeys().join(', ')} and a list \`pools\`, each with:`,
    ...keyHelps(POOL_KEYS),
    '',
    'with these keys under its `rbd`:',
    ...keyHelps(RBD_KEYS),
  ].join('\n');
}

function keyHelps(keys: Readonly<Record<string, MapKey>>): readonly string[] {
  return Object.values(keys).map(
    ({ fileKey, help, defaultText }) => `  ${fileKey}\n      ${help} Default: ${defaultText}.`,
  );
}

function fileKeys(): readonly string[] {
  return SETTING_ENTRIES.flatMap(([, { fileKey }]) => fileKey ?? []);
}

/** The settings as a table in Markdown, for the documents. */
export function settingsTable(): string {
  const rows = SETTING_ENTRIES.map(([, setting]) => [
    names(setting),
    setting.defaultText,
    `${setting.help} Must be ${setting.kind.mustBe}.`,
  ]);
  return table(['setting: file, environment, flag', 'default', 'meaning'], rows);
}

/** The keys of a pool as a table in Markdown, for the documents. */
export function poolTable(): string {
  return keyTable(POOL_KEYS);
}

/** The keys of a pool's `rbd` as a table in Markdown, for the documents. */
export function rbdTable(): string {
  return keyTable(RBD_KEYS);
}

function keyTable(keys: Readonly<Record<string, MapKey>>): string {
  const rows = Object.values(keys).map(({ fileKey, defaultText, help, mustBe }) => [
    `\`${fileKey}\``,
    defaultText,
    `${help} Must be ${mustBe}.`,
  ]);
  return table(['key', 'default', 'meaning'], rows);
}

function names(setting: Setting<unknown>): string {
  return [setting.fileKey, setting.env, setting.flag]
    .flatMap((name) => (name === null ? [] : `\`${name}\``))
    .join(' ');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
