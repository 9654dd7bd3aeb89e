import { describe, expect, test } from 'vitest';
import type { Config } from './config.ts';
import { ConfigError } from './config.ts';
import { configHelp, flagHelps, settingsTable } from './config-help.ts';
import { loadConfig } from './load-config.ts';
import { SETTING_ENTRIES } from './settings.ts';

interface Given {
  readonly flags?: Record<string, string>;
  readonly env?: Record<string, string>;
  readonly file?: string;
}

const FILE_PATH = '/etc/drivebay/drivebay.yaml';

function load({ flags = {}, env = {}, file }: Given): Config {
  return loadConfig({
    flags: file === undefined ? flags : { '--config': FILE_PATH, ...flags },
    env,
    cwd: '/home/anna',
    processors: 6,
    readFile: (path) => {
      if (file === undefined || path !== FILE_PATH) throw new Error(`ENOENT: no such file, open '${path}'`);
      return file;
    },
  });
}

function mistakesOf(given: Given): readonly string[] {
  try {
    load(given);
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
}

describe('without any configuration', () => {
  test('the server listens on loopback with one pool in ./data', () => {
    const config = load({});
    expect(config.listen).toEqual({ host: '127.0.0.1', port: 8600 });
    expect(config.dataDirectory).toBe('/home/anna/data');
    expect(config.masterKey).toEqual({ text: null, command: null, file: '/home/anna/data/master-key' });
    expect(config.pools).toMatchObject([
      { name: 'default', directory: '/home/anna/data/pools/default', tier: null, domain: 'default' },
    ]);
    expect(config.tls).toBeNull();
    expect(config.imagingThreads).toBe(6);
  });

  test('a pool keeps five percent free and at most 1 GiB', () => {
    const reserveBytes = load({}).pools[0]?.reserveBytes;
    expect(reserveBytes?.(1000)).toBe(50);
    expect(reserveBytes?.(2 ** 42)).toBe(2 ** 30);
  });
});

describe('sources', () => {
  test('a flag counts before a variable, a variable before the file', () => {
    const file = 'data_workers: 1\nbuffer_memory: 100M\nimaging_parallel: 3\n';
    const env = { DRIVEBAY_DATA_WORKERS: '2', DRIVEBAY_BUFFER_MEMORY: '200M' };
    const config = load({ file, env, flags: { '--data-workers': '5' } });
    expect([config.dataWorkers, config.bufferMemoryBytes, config.imagingParallel]).toEqual([
      5,
      200 * 2 ** 20,
      3,
    ]);
  });

  test('a relative path is relative to the file, or to where the command runs', () => {
    const file = 'data_dir: store\npools: [{ name: a, directory: ../disk1 }]\n';
    const config = load({ file, flags: { '--master-key-file': 'keys/master' } });
    expect(config.dataDirectory).toBe('/etc/drivebay/store');
    expect(config.pools[0]?.directory).toBe('/etc/disk1');
    expect(config.masterKey.file).toBe('/home/anna/keys/master');
  });

  test('the file can be named by a variable', () => {
    expect(mistakesOf({ env: { DRIVEBAY_CONFIG: 'x.yaml' } })).toEqual([
      expect.stringContaining('/home/anna/x.yaml cannot be read'),
    ]);
  });

  test('an empty variable is not set, and an empty file changes nothing', () => {
    expect(load({ file: '', env: { DRIVEBAY_LISTEN: '' } }).listen.port).toBe(8600);
  });

  test('variables of other programs with the prefix are passed over', () => {
    expect(
      mistakesOf({ env: { DRIVEBAY_PORT: 'tcp://10.0.0.1:8600', DRIVEBAY_SERVICE_HOST: '10.0.0.1' } }),
    ).toEqual([]);
  });
});

describe('pools', () => {
  test('each has its tier, its domain and its reserve', () => {
    const file = `
pools:
  - { name: fast, directory: /mnt/nvme, tier: ssd, domain: rack1/host2/disk3, reserve: 10% }
  - { name: big, directory: /mnt/hdd, reserve: 2G }
`;
    const [fast, big] = load({ file }).pools;
    expect(fast).toMatchObject({
      name: 'fast',
      directory: '/mnt/nvme',
      tier: 'ssd',
      domain: 'rack1/host2/disk3',
    });
    expect(fast?.reserveBytes(1000)).toBe(100);
    expect(big).toMatchObject({ tier: null, domain: 'big' });
    expect(big?.reserveBytes(1000)).toBe(2 * 2 ** 30);
  });

  test('one in Ceph has its place there, with defaults for what is not said', () => {
    const file = `
pools:
  - { name: ceph, rbd: { pool: drives }, tier: ssd }
  - { name: far, rbd: { pool: p, namespace: n, user: u, keyring: k, mon_host: "10.0.0.1,10.0.0.2" } }
`;
    const [ceph, far] = load({ file }).pools;
    const unsaid = { namespace: null, keyring: null, monitors: null };
    const defaults = { cephPool: 'drives', user: 'drivebay', confFile: '/etc/ceph/ceph.conf', ...unsaid };
    expect(ceph).toMatchObject({ name: 'ceph', directory: null, tier: 'ssd', rbd: defaults });
    expect(far?.rbd).toEqual({
      cephPool: 'p',
      namespace: 'n',
      user: 'u',
      keyring: '/etc/drivebay/k',
      confFile: null,
      monitors: '10.0.0.1,10.0.0.2',
    });
  });

  test.each([
    ['pools: none', 'pools must be a list'],
    ['pools: []', 'pools must be a list'],
    ['pools: [a]', 'each pool must be a map'],
    ['pools: [{ name: a }]', 'a pool without directory or rbd'],
    ['pools: [{ name: a, directory: /a, rbd: { pool: p } }]', 'a pool with both directory and rbd'],
    ['pools: [{ name: a, rbd: p }]', 'rbd must be a map, not "p"'],
    ['pools: [{ name: a, rbd: {} }]', 'a pool in Ceph is required'],
    ['pools: [{ name: a, rbd: { pool: p/q } }]', 'rbd: pool must be'],
    ['pools: [{ name: a, rbd: { pool: p, monhost: x } }]', 'unknown key monhost; did you mean mon_host?'],
    [
      'pools: [{ name: a, rbd: { pool: p } }, { name: b, rbd: { pool: p } }]',
      'rbd is p of /etc/ceph/ceph.conf twice',
    ],
    ['pools: [{ directory: /a }]', 'a pool without name'],
    ['pools: [{ name: a b, directory: /a }]', 'name must be'],
    ['pools: [{ name: a, directory: /a, teir: ssd }]', 'unknown key teir; did you mean tier?'],
    ['pools: [{ name: a, directory: /a, tier: tape }]', 'tier must be one of disk, ssd, not "tape"'],
    ['pools: [{ name: a, directory: /a, reserve: 95% }]', 'reserve must be'],
    ['pools: [{ name: a, directory: /a }, { name: a, directory: /b }]', 'the name a is given twice'],
    ['pools: [{ name: a, directory: /a }, { name: b, directory: /a/. }]', 'the directory /a is given twice'],
  ])('%s is refused', (file, sentence) => {
    expect(mistakesOf({ file })).toEqual([expect.stringContaining(sentence)]);
  });
});

describe('mistakes', () => {
  test('all of them are reported together, each with its place', () => {
    const file = 'data_workers: 65\nbufer_memory: 1G\nlisten: [1, 2]\nadmin_key: abcdefghijklmnop\n';
    const mistakes = mistakesOf({
      file,
      flags: { '--log-level': 'loud' },
      env: { DRIVEBAY_BUFFER_MEMORY: '1.5G', DRIVEBAY_DATADIR: '/x', DRIVEBAY_TLS_CERT: 'cert.pem' },
    });
    expect(mistakes).toEqual([
      `${FILE_PATH}:2: unknown key bufer_memory; did you mean buffer_memory?`,
      `${FILE_PATH}:4: admin_key cannot stand in the file; it is given by DRIVEBAY_ADMIN_KEY.`,
      `${FILE_PATH}:3: listen must be HOST:PORT, such as 127.0.0.1:8600 or [::1]:8600, with a port from 0 to 65535.`,
      '--log-level must be one of trace, debug, info, warn, error, silent, not "loud".',
      `${FILE_PATH}:1: data_workers must be a whole number from 1 to 64, not "65".`,
      'DRIVEBAY_BUFFER_MEMORY must be a size from 96M to 64G, in bytes or with a suffix k, M, G or T, not "1.5G".',
      'unknown environment variable DRIVEBAY_DATADIR; did you mean DRIVEBAY_DATA_DIR?',
      'tls_cert is set but tls_key is not; TLS needs both.',
    ]);
  });

  test.each([
    ['data_dir: a\ndata_dir: b\n', ':2: '],
    ['data_dir: [\n', 'drivebay.yaml:'],
    ['- data_dir\n', ':1: The file must hold settings'],
    ['just words\n', ':1: The file must hold settings'],
    ['allow_insecure_listen: yes\n', 'must be true or false, not "yes"'],
    ['data_workers:\n', 'must be a whole number from 1 to 64, not ""'],
  ])('a file with %j is refused', (file, part) => {
    expect(mistakesOf({ file })).toEqual([expect.stringContaining(part)]);
  });

  test('a secret is never repeated in a message', () => {
    const env = { DRIVEBAY_ADMIN_USER: 'me', DRIVEBAY_ADMIN_KEY: 'my secret' };
    expect(mistakesOf({ env })).toEqual([
      'DRIVEBAY_ADMIN_USER must be a UUID in lower case.',
      'DRIVEBAY_ADMIN_KEY must be 16 to 128 letters and digits.',
    ]);
  });

  test('an admin user without a key is refused', () => {
    const env = { DRIVEBAY_ADMIN_USER: '00000000-0000-4000-8000-000000000000' };
    expect(mistakesOf({ env })).toEqual([expect.stringContaining('belong together')]);
  });
});

describe('listening', () => {
  test.each(['127.0.0.1:0', '127.9.9.9:80', '[::1]:8600', 'localhost:8600', '[::ffff:127.0.0.1]:1'])(
    '%s needs no TLS',
    (listen) => expect(mistakesOf({ flags: { '--listen': listen } })).toEqual([]),
  );

  test.each(['0.0.0.0:8600', '[::]:8600', '192.168.1.2:8600', 'example.org:8600'])(
    '%s without TLS is refused, saying why',
    (listen) => {
      expect(mistakesOf({ flags: { '--listen': listen } })).toEqual([
        expect.stringContaining('readable by anyone'),
      ]);
      expect(mistakesOf({ flags: { '--listen': listen, '--allow-insecure-listen': 'true' } })).toEqual([]);
      const tls = { '--tls-cert': 'c', '--tls-key': 'k' };
      expect(mistakesOf({ flags: { '--listen': listen, ...tls } })).toEqual([]);
    },
  );

  test.each([
    '8600',
    ':8600',
    'a:b',
    '127.0.0.1:65536',
    '1.2.3:80',
    '::1:8600',
    '[::g]:1',
    'a b:1',
    '127.0.0.1:',
  ])('%s is no address', (listen) => expect(mistakesOf({ flags: { '--listen': listen } })).toHaveLength(1));
});

describe('help', () => {
  test('every setting is in the table and every flag and variable in the help', () => {
    const entries = SETTING_ENTRIES.map(([, entry]) => entry);
    const table = settingsTable();
    const help = [configHelp(), ...flagHelps().map(({ flag }) => flag)].join('\n');
    const names = entries
      .flatMap(({ fileKey, env, flag }) => [fileKey, env, flag])
      .filter((name) => name !== null);
    expect(names.filter((name) => !help.includes(name))).toEqual([]);
    expect(names.filter((name) => !table.includes(`\`${name}\``))).toEqual([]);
  });

  test('a secret has no flag and no file key', () => {
    const secrets = SETTING_ENTRIES.filter(([name]) => ['adminKey', 'masterKey'].includes(name));
    expect(secrets.map(([, { flag, fileKey }]) => [flag, fileKey])).toEqual([
      [null, null],
      [null, null],
    ]);
  });
});

describe('a PostgreSQL database', () => {
  const url = 'postgres://drivebay@db.example.org/drives';

  test('takes its password from the environment, and checks certificates unless told otherwise', () => {
    const env = { DRIVEBAY_METADATA_PASSWORD: 'other' };
    const { metadata } = load({ file: `metadata: ${url.replace('@', ':in-url@')}\n`, env });
    expect(metadata).toEqual({
      host: 'db.example.org',
      port: 5432,
      database: 'drives',
      user: 'drivebay',
      password: 'other',
      tlsMode: 'verify-full',
      caFile: null,
      maxConnections: 10,
      timeoutMs: 5000,
    });
    expect(load({ env: { DRIVEBAY_METADATA: `${url}?sslmode=disable` } }).metadata?.tlsMode).toBe('disable');
    expect(load({ env: { DRIVEBAY_METADATA: 'postgres://a@127.0.0.1/b' } }).metadata?.tlsMode).toBe(
      'disable',
    );
    expect(load({ file: 'data_dir: /srv\n' }).metadata).toBeNull();
  });

  test('is refused without a word of what may be its password', () => {
    const mistakes = [
      ...mistakesOf({ env: { DRIVEBAY_METADATA: 'postgres://a:s3cret@db' } }),
      ...mistakesOf({ file: 'metadata: mysql://a:s3cret@db/drives\n' }),
    ];
    expect(mistakes).toEqual([
      expect.stringContaining('DRIVEBAY_METADATA must be postgres://USER'),
      expect.stringContaining('metadata must be postgres://USER'),
    ]);
    expect(mistakes.join()).not.toContain('s3cret');
  });

  test('may be named on the command line, but its password may not', () => {
    expect(load({ flags: { '--metadata': url } }).metadata).toMatchObject({ database: 'drives' });
    const mistakes = mistakesOf({ flags: { '--metadata': url.replace('@', ':s3cret@') } });
    expect(mistakes).toEqual([expect.stringMatching(/^--metadata must be .*without the password/)]);
    expect(mistakes.join()).not.toContain('s3cret');
  });

  test.each([
    [{ DRIVEBAY_METADATA_PASSWORD: 'x' }, 'DRIVEBAY_METADATA_PASSWORD is set but metadata is not'],
    [{ DRIVEBAY_METADATA_CA: 'ca.pem' }, 'metadata_ca is set but metadata is not'],
    [
      { DRIVEBAY_METADATA: `${url}?sslmode=require`, DRIVEBAY_METADATA_CA: 'ca.pem' },
      'checks no certificate',
    ],
  ])('contradictions are reported: %j', (env, sentence) => {
    expect(mistakesOf({ env })).toEqual([expect.stringContaining(sentence)]);
  });
});
