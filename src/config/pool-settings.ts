import { join } from 'node:path';
import type { Tier } from '../core/drive.ts';
import { GIB, parseSizeBytes } from '../core/sizes.ts';
import type { FileNode } from './config-file.ts';
import { MapReader } from './map-reader.ts';
import type { MapKey, ReportMistake } from './map-reader.ts';
import { parseRbd } from './rbd-settings.ts';
import type { RbdSetting } from './rbd-settings.ts';
import type { SettingKind, ValueOrigin } from './setting-kind.ts';
import { choiceKind, pathKind } from './setting-kind.ts';

/** One pool of drives, as configured: in a directory or in Ceph. */
export type PoolSetting = CommonPoolSetting &
  (
    | { readonly directory: string; readonly rbd: null }
    | { readonly directory: null; readonly rbd: RbdSetting }
  );

interface CommonPoolSetting {
  readonly name: string;
  /** Null takes drives of any tier. */
  readonly tier: Tier | null;
  readonly domain: string;
  /** Room that is kept free, of a pool of this many bytes. */
  readonly reserveBytes: (totalBytes: number) => number;
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

const reserveKind: SettingKind<CommonPoolSetting['reserveBytes']> = {
  placeholder: 'SIZE|PERCENT',
  mustBe: 'a size such as 2G, below 8192T, or a whole percentage from 0% to 90%',
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
    defaultText: 'required, unless rbd is given',
    help: 'Where the drives are files. It must exist, and each pool has its own.',
  },
  rbd: {
    fileKey: 'rbd',
    mustBe: 'a map with keys of its own',
    defaultText: 'none',
    help: 'Where the drives are images in a Ceph cluster; in place of directory.',
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
} as const satisfies Readonly<Record<string, MapKey>>;

/** With no configuration there is one pool, in the data directory. */
export function defaultPools(dataDirectory: string): readonly PoolSetting[] {
  const directory = join(dataDirectory, 'pools', 'default');
  const reserveBytes = defaultReserveBytes;
  return [{ name: 'default', directory, rbd: null, tier: null, domain: 'default', reserveBytes }];
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
  report: ReportMistake,
): readonly PoolSetting[] {
  if (node.kind !== 'list' || node.items.length === 0) {
    report(node.line, 'pools must be a list of pools, each with a name and a directory or rbd.');
    return [];
  }
  const pools = node.items.flatMap((item) => parsePool(item, origin, report) ?? []);
  const twice = (values: readonly string[], sentence: (value: string) => string): void =>
    repeated(values).forEach((value) => report(node.line, `pools: ${sentence(value)}`));
  twice(
    pools.map(({ name }) => name),
    (name) => `the name ${name} is given twice.`,
  );
  twice(
    pools.flatMap(({ directory }) => directory ?? []),
    (directory) => `the directory ${directory} is given twice; each pool needs its own.`,
  );
  twice(
    pools.flatMap(({ rbd }) => (rbd === null ? [] : placeOf(rbd))),
    (place) => `rbd is ${place} twice; each pool needs a pool or namespace in Ceph of its own.`,
  );
  return pools;
}

function parsePool(node: FileNode, origin: ValueOrigin, report: ReportMistake): PoolSetting | null {
  if (node.kind !== 'map') {
    report(node.line, 'pools: each pool must be a map with a name and a directory or rbd.');
    return null;
  }
  const reader = new MapReader(node, { what: 'pools', subject: 'A pool', keys: POOL_KEYS, origin, report });
  const name = reader.value('name', poolNameKind);
  const directory = reader.value('directory', pathKind);
  const rbdNode = reader.map('rbd');
  const rbd = rbdNode === null ? null : parseRbd(rbdNode, origin, report);
  const tier = reader.value('tier', tierKind);
  const domain = reader.value('domain', domainKind);
  const reserveBytes = reader.value('reserve', reserveKind) ?? defaultReserveBytes;
  if (!reader.has('name')) report(node.line, 'pools: a pool without name; it is required.');
  if (reader.has('directory') === reader.has('rbd')) {
    const count = reader.has('rbd') ? 'with both directory and rbd' : 'without directory or rbd';
    report(node.line, `pools: a pool ${count}; it has one of them.`);
    return null;
  }
  if (name === null) return null;
  const pool = { name, tier, domain: domain ?? name, reserveBytes };
  if (directory !== null) return { ...pool, directory, rbd: null };
  return rbd === null ? null : { ...pool, directory: null, rbd };
}

/** What is written more than once. */
function repeated(values: readonly string[]): readonly string[] {
  return [...new Set(values.filter((value, index) => values.indexOf(value) !== index))];
}

function placeOf({ cephPool, namespace, confFile, monitors }: RbdSetting): string {
  const pool = namespace === null ? cephPool : `${cephPool}/${namespace}`;
  return `${pool} of ${monitors ?? confFile ?? ''}`;
}

function percentOf(percent: number): (totalBytes: number) => number {
  return (totalBytes) => Math.floor((totalBytes / 100) * percent);
}
