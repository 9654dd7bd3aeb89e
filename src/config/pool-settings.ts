import { join } from 'node:path';
import type { Tier } from '../core/drive.ts';
import { GIB, parseSizeBytes } from '../core/sizes.ts';
import type { FileNode } from './config-file.ts';
import { closestTo } from './did-you-mean.ts';
import type { SettingKind, ValueOrigin } from './setting-kind.ts';
import { choiceKind, pathKind } from './setting-kind.ts';

/** One pool of drives, as configured. */
export interface PoolSetting {
  readonly name: string;
  readonly directory: string;
  /** Null takes drives of any tier. */
  readonly tier: Tier | null;
  readonly domain: string;
  /** Room that is kept free, of a pool of this many bytes. */
  readonly reserveBytes: (totalBytes: number) => number;
}

/** One key of an entry in the list `pools`. */
export interface PoolKey {
  readonly fileKey: string;
  readonly mustBe: string;
  readonly defaultText: string;
  readonly help: string;
}

const poolNameKind: SettingKind<string> = {
  placeholder: 'NAME',
  mustBe: '1 to 64 letters, digits, dots, hyphens or underscores, beginning with a letter or digit',
  parse: (text) => (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text) ? text : null),
};

const domainKind: SettingKind<string> = {
  placeholder: 'DOMAIN',
  mustBe: '1 to 255 letters, digits, dots, hyphens, underscores or slashes',
  parse: (text) => (/^[A-Za-z0-9._/-]{1,255}$/.test(text) ? text : null),
};

const reserveKind: SettingKind<PoolSetting['reserveBytes']> = {
  placeholder: 'SIZE|PERCENT',
  mustBe: 'a size such as 2G, or a whole percentage from 0% to 90%',
  parse: (text) => {
    const percent = /^([0-9]{1,2})%$/.exec(text)?.[1];
    if (percent !== undefined) return Number(percent) <= 90 ? percentOf(Number(percent)) : null;
    const sizeBytes = parseSizeBytes(text);
    return sizeBytes === null ? null : () => sizeBytes;
  },
};

const tierKind = choiceKind(['disk', 'ssd']);

/** What an entry of `pools` may say, for reading, help and documents. */
export const POOL_KEYS = {
  name: {
    fileKey: 'name',
    mustBe: poolNameKind.mustBe,
    defaultText: 'required',
    help: "The pool's name. Drives remember it, so it stays when the directory moves.",
  },
  directory: {
    fileKey: 'directory',
    mustBe: pathKind.mustBe,
    defaultText: 'required',
    help: 'Where the drives are files. It must exist, and each pool has its own.',
  },
  tier: {
    fileKey: 'tier',
    mustBe: tierKind.mustBe,
    defaultText: 'any tier',
    help: 'The kind of hardware; the pool then takes drives of this tier only.',
  },
  domain: {
    fileKey: 'domain',
    mustBe: domainKind.mustBe,
    defaultText: 'the name',
    help: 'The failure domain, such as rack1/host2/disk3. Pools with the same one are the same hardware.',
  },
  reserve: {
    fileKey: 'reserve',
    mustBe: reserveKind.mustBe,
    defaultText: '5%, at most 1G',
    help: 'Room that stays free, so that what is running can finish when the pool is full.',
  },
} as const satisfies Readonly<Record<string, PoolKey>>;

/** With no configuration there is one pool, in the data directory. */
export function defaultPools(dataDirectory: string): readonly PoolSetting[] {
  const directory = join(dataDirectory, 'pools', 'default');
  return [{ name: 'default', directory, tier: null, domain: 'default', reserveBytes: defaultReserveBytes }];
}

/** Five percent and at most 1 GiB, so that neither a small nor a huge pool loses much. */
export function defaultReserveBytes(totalBytes: number): number {
  return Math.min(percentOf(5)(totalBytes), GIB);
}

/**
 * Reads the list `pools` of a configuration file.
 *
 * @param report takes one sentence for each mistake
 */
export function parsePools(
  node: FileNode,
  origin: ValueOrigin,
  report: (line: number, sentence: string) => void,
): readonly PoolSetting[] {
  if (node.kind !== 'list' || node.items.length === 0) {
    report(node.line, 'pools must be a list of pools, each with a name and a directory.');
    return [];
  }
  const pools = node.items.flatMap((item) => parsePool(item, origin, report) ?? []);
  reportTwice(pools, 'name', (name) => report(node.line, `pools: the name ${name} is given twice.`));
  reportTwice(pools, 'directory', (directory) =>
    report(node.line, `pools: the directory ${directory} is given twice; each pool needs its own.`),
  );
  return pools;
}

function parsePool(
  node: FileNode,
  origin: ValueOrigin,
  report: (line: number, sentence: string) => void,
): PoolSetting | null {
  if (node.kind !== 'map') {
    report(node.line, 'pools: each pool must be a map with a name and a directory.');
    return null;
  }
  const known = Object.keys(POOL_KEYS);
  for (const [key, child] of node.entries) {
    if (!known.includes(key)) {
      report(child.line, `pools: unknown key ${key}${closestTo(key, known)} A pool has ${known.join(', ')}.`);
    }
  }
  function value<Value>(key: string, kind: SettingKind<Value>): Value | null {
    const child = node.kind === 'map' ? node.entries.get(key) : undefined;
    if (child === undefined) return null;
    const parsed = child.kind === 'text' ? kind.parse(child.text, origin) : null;
    if (parsed === null) report(child.line, `pools: ${key} must be ${kind.mustBe}${shown(child)}.`);
    return parsed;
  }
  const name = value('name', poolNameKind);
  const directory = value('directory', pathKind);
  const tier = value('tier', tierKind);
  const domain = value('domain', domainKind);
  const reserveBytes = value('reserve', reserveKind) ?? defaultReserveBytes;
  for (const key of ['name', 'directory']) {
    if (!node.entries.has(key)) report(node.line, `pools: a pool without ${key}; it is required.`);
  }
  if (name === null || directory === null) return null;
  return { name, directory, tier, domain: domain ?? name, reserveBytes };
}

function shown(node: FileNode): string {
  return node.kind === 'text' ? `, not ${JSON.stringify(node.text)}` : `, not a ${node.kind}`;
}

function reportTwice<Key extends 'name' | 'directory'>(
  pools: readonly PoolSetting[],
  key: Key,
  report: (value: string) => void,
): void {
  const values = pools.map((pool) => pool[key]);
  new Set(values.filter((value, index) => values.indexOf(value) !== index)).forEach(report);
}

function percentOf(percent: number): (totalBytes: number) => number {
  return (totalBytes) => Math.floor((totalBytes / 100) * percent);
}
