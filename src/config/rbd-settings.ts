import { MapReader } from './map-reader.ts';
import type { MapKey, MapNode, ReportMistake } from './map-reader.ts';
import type { SettingKind, ValueOrigin } from './setting-kind.ts';
import { pathKind, textKind } from './setting-kind.ts';

/** Where the images of a pool are, as configured. */
export interface RbdSetting {
  readonly cephPool: string;
  readonly namespace: string | null;
  readonly user: string;
  readonly keyring: string | null;
  /** Null where the monitors are given. */
  readonly confFile: string | null;
  readonly monitors: string | null;
}

const DEFAULT_USER = 'drivebay';
const DEFAULT_CONF = '/etc/ceph/ceph.conf';

const cephNameKind: SettingKind<string> = {
  placeholder: 'NAME',
  mustBe: '1 to 128 letters, digits, dots, hyphens or underscores',
  parse: (text) => (/^[A-Za-z0-9._-]{1,128}$/.test(text) ? text : null),
};

const monitorsKind = textKind('ADDRESSES');

/** What `rbd` of a pool may say, for reading, help and documents. */
export const RBD_KEYS = {
  pool: {
    fileKey: 'pool',
    mustBe: cephNameKind.mustBe,
    defaultText: 'required',
    help: 'The pool in Ceph that holds the images, one a drive.',
  },
  namespace: {
    fileKey: 'namespace',
    mustBe: cephNameKind.mustBe,
    defaultText: 'none',
    help: 'The RBD namespace of that pool in which the images are.',
  },
  user: {
    fileKey: 'user',
    mustBe: cephNameKind.mustBe,
    defaultText: DEFAULT_USER,
    help: 'The Ceph user, without `client.`.',
  },
  keyring: {
    fileKey: 'keyring',
    mustBe: pathKind.mustBe,
    defaultText: 'as in conf',
    help: "The file with the user's key.",
  },
  conf: {
    fileKey: 'conf',
    mustBe: pathKind.mustBe,
    defaultText: `${DEFAULT_CONF}, unless mon_host is given`,
    help: "Ceph's configuration file.",
  },
  mon_host: {
    fileKey: 'mon_host',
    mustBe: monitorsKind.mustBe,
    defaultText: 'as in conf',
    help: 'The addresses of the monitors, such as 10.0.0.1,10.0.0.2.',
  },
} as const satisfies Readonly<Record<string, MapKey>>;

/** Reads `rbd` of a pool; null when it is not complete, which has been reported. */
export function parseRbd(node: MapNode, origin: ValueOrigin, report: ReportMistake): RbdSetting | null {
  const what = 'pools: rbd';
  const reader = new MapReader(node, { what, subject: 'It', keys: RBD_KEYS, origin, report });
  const cephPool = reader.value('pool', cephNameKind);
  const namespace = reader.value('namespace', cephNameKind);
  const user = reader.value('user', cephNameKind) ?? DEFAULT_USER;
  const keyring = reader.value('keyring', pathKind);
  const monitors = reader.value('mon_host', monitorsKind);
  const confFile = reader.value('conf', pathKind) ?? (monitors === null ? DEFAULT_CONF : null);
  if (!reader.has('pool')) report(node.line, `${what}: a pool in Ceph is required; name it with pool.`);
  return cephPool === null ? null : { cephPool, namespace, user, keyring, confFile, monitors };
}
