import { dirname } from 'node:path';
import { parseConfigFile } from './config-file.ts';
import type { FileNode } from './config-file.ts';
import type { Config } from './config.ts';
import { ConfigError } from './config.ts';
import type { TlsMode } from './database-url.ts';
import { closestTo, probablyMeant } from './did-you-mean.ts';
import { formatListenAddress, isLoopback } from './listen-address.ts';
import type { PoolSetting } from './pool-settings.ts';
import { defaultPools, parsePools } from './pool-settings.ts';
import type { ValueOrigin } from './setting-kind.ts';
import type { Setting, SettingName, SettingValues } from './settings.ts';
import { SETTING_ENTRIES, SETTINGS } from './settings.ts';

/** Where settings come from, in the order in which they count: flags, environment, file. */
export interface ConfigSources {
  /** By flag, such as `--data-dir`; a switch that was named is `true`. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
  readonly cwd: string;
  readonly processors: number;
}

interface GivenValue {
  /** How the value was given, as messages name it: `--listen`, `DRIVEBAY_LISTEN` or `listen`. */
  readonly source: string;
  /** Null when the file has a list or a map where a text belongs. */
  readonly text: string | null;
  readonly origin: ValueOrigin;
}

interface FileValues {
  readonly values: ReadonlyMap<SettingName, GivenValue>;
  readonly pools: readonly PoolSetting[] | null;
}

const NO_FILE: FileValues = { values: new Map(), pools: null };

/**
 * Brings all sources together.
 *
 * @throws ConfigError with every mistake that there is, in all sources
 */
export function loadConfig(sources: ConfigSources): Config {
  const mistakes: string[] = [];
  const values: Partial<Record<SettingName, unknown>> = {};
  const parse = (name: SettingName, given: GivenValue | undefined): void => {
    const { kind } = SETTINGS[name];
    if (given === undefined) return;
    const value = given.text === null ? null : kind.parse(given.text, given.origin);
    if (value === null) mistakes.push(mistake(name, given));
    else values[name] = value;
  };
  const outside = new Map(SETTING_ENTRIES.map(([name]) => [name, givenOutside(name, sources)]));
  parse('configFile', outside.get('configFile'));
  const file = readConfigFile(values.configFile, sources, mistakes);
  for (const [name] of SETTING_ENTRIES) {
    if (name !== 'configFile') parse(name, outside.get(name) ?? file.values.get(name));
  }
  mistakes.push(...misspeltVariables(sources.env));
  const complete = withDefaults(values, sources);
  mistakes.push(...contradictions(complete));
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return configOf(complete, file.pools ?? defaultPools(complete.dataDirectory));
}

function givenOutside(name: SettingName, sources: ConfigSources): GivenValue | undefined {
  const { flag, env } = SETTINGS[name];
  const directory = sources.cwd;
  const flagText = flag === null ? undefined : sources.flags[flag];
  if (flag !== null && flagText !== undefined) {
    return { source: flag, text: flagText, origin: { directory, isPublic: true } };
  }
  const envText = sources.env[env];
  // An empty variable is how shells and container files say "not set".
  return envText === undefined || envText === ''
    ? undefined
    : { source: env, text: envText, origin: { directory, isPublic: false } };
}

function mistake(name: SettingName, given: GivenValue): string {
  const { kind, fileKey, flag, isSecret: isMarked }: Setting<unknown> = SETTINGS[name];
  const isSecret = isMarked === true || (fileKey === null && flag === null);
  const shown = given.text === null || isSecret ? '' : `, not ${JSON.stringify(given.text)}`;
  return `${given.source} must be ${kind.mustBe}${shown}.`;
}

function readConfigFile(path: unknown, sources: ConfigSources, mistakes: string[]): FileValues {
  if (typeof path !== 'string') return NO_FILE;
  let text: string;
  try {
    text = sources.readFile(path);
  } catch (error) {
    mistakes.push(
      `The configuration file ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}.`,
    );
    return NO_FILE;
  }
  const parsed = parseConfigFile(text);
  const report = (line: number, sentence: string): void => void mistakes.push(`${path}:${line}: ${sentence}`);
  if ('problems' in parsed) {
    parsed.problems.forEach(({ line, sentence }) => report(line, sentence));
    return NO_FILE;
  }
  return fileValues(parsed.root, { path, directory: dirname(path), isPublic: false }, report);
}

function fileValues(
  root: FileNode,
  origin: ValueOrigin & { path: string },
  report: (line: number, sentence: string) => void,
): FileValues {
  if (root.kind !== 'map') {
    report(root.line, 'The file must hold settings, one `key: value` a line.');
    return NO_FILE;
  }
  const nameOf = new Map(SETTING_ENTRIES.map(([name, { fileKey }]) => [fileKey, name]));
  const values = new Map<SettingName, GivenValue>();
  let pools: readonly PoolSetting[] | null = null;
  for (const [key, node] of root.entries) {
    const name = nameOf.get(key);
    const text = node.kind === 'text' ? node.text : null;
    if (name !== undefined) values.set(name, { source: `${origin.path}:${node.line}: ${key}`, text, origin });
    else if (key === 'pools') pools = parsePools(node, origin, report);
    else report(node.line, unknownKey(key));
  }
  return { values, pools };
}

function unknownKey(key: string): string {
  const secret = SETTING_ENTRIES.find(([, { env }]) => env === `DRIVEBAY_${key.toUpperCase()}`);
  if (secret !== undefined) return `${key} cannot stand in the file; it is given by ${secret[1].env}.`;
  const known = SETTING_ENTRIES.flatMap(([, { fileKey }]) => fileKey ?? []).concat('pools');
  return `unknown key ${key}${closestTo(key, known)}`;
}

/** Variables of the client commands, which share the prefix. */
const CLIENT_VARIABLES = ['DRIVEBAY_URL', 'DRIVEBAY_AUTH', 'DRIVEBAY_CA', 'DRIVEBAY_DEBUG'];

/**
 * Misspelt variables. Others with the prefix are passed over: Kubernetes sets `DRIVEBAY_PORT` and more like it in every
 * container next to a service of this name.
 */
function misspeltVariables(env: ConfigSources['env']): readonly string[] {
  const prefix = 'DRIVEBAY_';
  const known = SETTING_ENTRIES.map(([, setting]) => setting.env).concat(CLIENT_VARIABLES);
  const suffixes = known.map((name) => name.slice(prefix.length));
  return Object.keys(env).flatMap((name) => {
    if (!name.startsWith(prefix) || known.includes(name)) return [];
    const meant = probablyMeant(name.slice(prefix.length), suffixes);
    return meant === null ? [] : [`unknown environment variable ${name}; did you mean ${prefix}${meant}?`];
  });
}

function withDefaults(
  given: Partial<Record<SettingName, unknown>>,
  { cwd, processors }: ConfigSources,
): SettingValues {
  const first = { directory: cwd, dataDirectory: '', processors };
  const dataDirectory = given.dataDirectory ?? SETTINGS.dataDirectory.defaultValue(first);
  const context = { ...first, dataDirectory: String(dataDirectory) };
  const pairs = SETTING_ENTRIES.map(([name, setting]) => [
    name,
    given[name] ?? setting.defaultValue(context),
  ]);
  // Each value was made by the kind or the default of its own entry, which is where SettingValues gets its types.
  return Object.fromEntries(pairs) as SettingValues;
}

function contradictions(values: SettingValues): readonly string[] {
  const sentences: string[] = [];
  const hasTls = values.tlsCertFile !== null && values.tlsKeyFile !== null;
  if (values.tlsCertFile !== null && values.tlsKeyFile === null) {
    sentences.push('tls_cert is set but tls_key is not; TLS needs both.');
  }
  if (values.tlsKeyFile !== null && values.tlsCertFile === null) {
    sentences.push('tls_key is set but tls_cert is not; TLS needs both.');
  }
  const listeners = { listen: values.listen, nbd_listen: values.nbdListen };
  for (const [key, address] of Object.entries(listeners)) {
    if (address === null || hasTls || values.allowInsecureListen || isLoopback(address.host)) continue;
    sentences.push(
      `${key} ${formatListenAddress(address)} can be reached by other machines and there is no TLS: API keys and ` +
        'the data of drives would cross the network readable by anyone on it. Set tls_cert and tls_key, or ' +
        'allow_insecure_listen when something in front adds TLS.',
    );
  }
  for (const [key, name] of [
    ['DRIVEBAY_METADATA_PASSWORD', 'metadataPassword'],
    ['metadata_ca', 'metadataCaFile'],
  ] as const) {
    if (values[name] !== null && values.metadataUrl === null)
      sentences.push(`${key} is set but metadata is not.`);
  }
  if (values.metadataCaFile !== null && ['disable', 'require'].includes(values.metadataUrl?.tlsMode ?? '')) {
    sentences.push(
      'metadata_ca is of no use with this sslmode, which checks no certificate: take verify-ca or verify-full.',
    );
  }
  if ((values.adminUserId === null) !== (values.adminKey === null)) {
    sentences.push('DRIVEBAY_ADMIN_USER and DRIVEBAY_ADMIN_KEY belong together; one of them is missing.');
  }
  return sentences;
}

function configOf(values: SettingValues, pools: readonly PoolSetting[]): Config {
  const {
    metadataUrl,
    metadataPassword,
    metadataCaFile,
    metadataConnections,
    metadataTimeoutSeconds,
    tlsCertFile,
    tlsKeyFile,
    adminUserId,
    adminKey,
    masterKey,
    masterKeyCommand,
    masterKeyFile,
    ...rest
  } = values;
  return {
    ...rest,
    metadata:
      metadataUrl === null
        ? null
        : {
            ...metadataUrl,
            password: metadataPassword ?? metadataUrl.password,
            tlsMode: metadataUrl.tlsMode ?? defaultTlsMode(metadataUrl.host, metadataCaFile),
            caFile: metadataCaFile,
            maxConnections: metadataConnections,
            timeoutMs: metadataTimeoutSeconds * 1000,
          },
    tls: tlsCertFile === null || tlsKeyFile === null ? null : { certFile: tlsCertFile, keyFile: tlsKeyFile },
    firstAdmin: adminUserId === null || adminKey === null ? null : { userId: adminUserId, key: adminKey },
    masterKey: { text: masterKey, command: masterKeyCommand, file: masterKeyFile },
    pools,
  };
}

/** Without a word on TLS it is checked in full, unless nothing leaves the machine. */
function defaultTlsMode(host: string, caFile: string | null): TlsMode {
  const isLocal = host.startsWith('/') || isLoopback(host);
  return isLocal && caFile === null ? 'disable' : 'verify-full';
}
