import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import type { NbdDrive, RbdDrive } from './attached-drive.ts';
import { libvirtDisk } from './libvirt-disk.ts';
import { parseNbdUri } from './nbd-target.ts';
import { qemuArguments, qemuLines } from './qemu-arguments.ts';
import { monitorHosts, rbdUri } from './rbd-image.ts';
import type { RbdImage } from './rbd-image.ts';
import { rbdLibvirtDisk } from './rbd-libvirt.ts';
import { rbdQemuArguments } from './rbd-qemu.ts';

const DRIVE = '32c90942-edf5-4651-8938-81f22e6095b6';
const SECRET = 'ab'.repeat(32);
const UNIX_URI = `nbd+unix:///${SECRET}?socket=%2Frun%2Fmy+o%27drives%2Fnbd%26.sock`;
const SOCKET = "/run/my o'drives/nbd&.sock";

function attached(uri: string, isReadOnly = false): NbdDrive {
  return { driveId: DRIVE, isReadOnly, target: parseNbdUri(uri) };
}

function shellWords(line: string): readonly string[] {
  const script = `printf '%s\\0' ${line}`;
  return execFileSync('sh', ['-c', script]).toString().split('\0').slice(0, -1);
}

test('an NBD URI is taken apart, whatever its scheme', () => {
  const inet = (uri: string) => parseNbdUri(uri).endpoint;
  expect(parseNbdUri(`nbd://storage-1:10810/${SECRET}`)).toEqual({
    uri: `nbd://storage-1:10810/${SECRET}`,
    secret: SECRET,
    isTls: false,
    endpoint: { kind: 'inet', host: 'storage-1', port: 10810 },
  });
  expect(inet(`nbds://[fd00::1]/${SECRET}`)).toEqual({ kind: 'inet', host: 'fd00::1', port: 10809 });
  expect(parseNbdUri(`nbds://a/${SECRET}`).isTls).toBe(true);
  expect(parseNbdUri(UNIX_URI)).toMatchObject({ secret: SECRET, endpoint: { kind: 'unix', path: SOCKET } });
  expect(parseNbdUri(UNIX_URI.replace('nbd', 'nbds')).isTls).toBe(true);
});

test.each(['', 'http://a/b', 'nbd+vsock://1/b', `nbd+unix:///${SECRET}`])('"%s" is refused', (uri) => {
  expect(() => parseNbdUri(uri)).toThrow('does not know');
});

test('QEMU gets a block node that waits for the server, and a disk with a serial number', () => {
  const { object, blockdev, device } = qemuArguments(attached(`nbd://storage-1:10810/${SECRET}`));
  expect(object).toBeNull();
  expect(blockdev).toEqual({
    driver: 'nbd',
    'node-name': 'drivebay-32c90942edf54651893881',
    server: { type: 'inet', host: 'storage-1', port: '10810' },
    export: SECRET,
    'reconnect-delay': 60,
    discard: 'unmap',
  });
  expect(device).toBe('virtio-blk-pci,drive=drivebay-32c90942edf54651893881,serial=32c90942-edf5-4651-8');
  expect(String(blockdev['node-name']).length).toBeLessThanOrEqual(31);
});

test('QEMU gets credentials for TLS, and is told when it must not write', () => {
  const { object, blockdev } = qemuArguments(attached(`nbds://storage-1/${SECRET}`, true));
  expect(object).toBe('tls-creds-x509,id=drivebay-tls,endpoint=client,dir=/etc/pki/qemu');
  expect(blockdev).toMatchObject({ 'tls-creds': 'drivebay-tls', 'read-only': true });
  expect(blockdev).not.toHaveProperty('discard');
});

test('a shell takes the lines for QEMU apart into just what they say', () => {
  const asked = qemuArguments(attached(UNIX_URI));
  const words = shellWords(qemuLines(asked));
  expect(words).toEqual(['-blockdev', JSON.stringify(asked.blockdev), '-device', asked.device]);
  expect(asked.blockdev['server']).toEqual({ type: 'unix', path: SOCKET });
});

test('libvirt gets a network disk that waits for the server', () => {
  expect(libvirtDisk(attached(`nbd://storage-1:10810/${SECRET}`))).toBe(`<disk type='network' device='disk'>
  <driver name='qemu' type='raw' discard='unmap'/>
  <source protocol='nbd' name='${SECRET}'>
    <host name='storage-1' port='10810'/>
    <reconnect delay='60'/>
  </source>
  <target dev='vdb' bus='virtio'/>
  <serial>32c90942-edf5-4651-8</serial>
</disk>`);
});

test('libvirt is told of TLS, of a socket and when it must not write', () => {
  const tls = libvirtDisk(attached(`nbds://storage-1/${SECRET}`, true));
  expect(tls).toContain(` tls='yes'>`);
  expect(tls).toContain('  <readonly/>\n</disk>');
  expect(tls).not.toContain('discard');
  const unix = libvirtDisk(attached(UNIX_URI));
  expect(unix).toContain(`<host transport='unix' socket='/run/my o&apos;drives/nbd&amp;.sock'/>`);
});

const IMAGE = {
  cephPool: 'drives',
  namespace: null,
  name: 'drivebay-1-epoch-2',
  monitors: null,
  user: 'vms',
};

function inCeph(change: Partial<RbdImage> = {}, isReadOnly = false): RbdDrive {
  return { driveId: DRIVE, isReadOnly, image: { ...IMAGE, secretFile: null, ...change } };
}

test('QEMU gets the image itself for a drive in Ceph, and whose key it uses there', () => {
  const { object, blockdev, device } = rbdQemuArguments(inCeph());
  expect(object).toBeNull();
  expect(blockdev).toEqual({
    driver: 'rbd',
    'node-name': 'drivebay-32c90942edf54651893881',
    pool: 'drives',
    image: 'drivebay-1-epoch-2',
    user: 'vms',
    discard: 'unmap',
  });
  expect(device).toBe('virtio-blk-pci,drive=drivebay-32c90942edf54651893881,serial=32c90942-edf5-4651-8');
});

test('QEMU decrypts a drive in Ceph itself, with the passphrase from a file', () => {
  const encrypted = inCeph({
    secretFile: "/run/my key,'1'",
    namespace: 'ns',
    monitors: '10.0.0.1,[fd00::1]:6789',
  });
  const asked = rbdQemuArguments({ ...encrypted, isReadOnly: true });
  expect(asked.object).toBe("secret,id=drivebay-key-32c90942edf54651893881,file=/run/my key,,'1'");
  expect(asked.blockdev).toEqual({
    driver: 'luks',
    'node-name': 'drivebay-32c90942edf54651893881',
    'read-only': true,
    'key-secret': 'drivebay-key-32c90942edf54651893881',
    file: {
      driver: 'rbd',
      pool: 'drives',
      namespace: 'ns',
      image: 'drivebay-1-epoch-2',
      user: 'vms',
      server: [
        { host: '10.0.0.1', port: '3300' },
        { host: 'fd00::1', port: '6789' },
      ],
    },
  });
  expect(shellWords(qemuLines(asked)).slice(0, 2)).toEqual(['-object', asked.object]);
});

test('libvirt gets the image itself for a drive in Ceph, and finds its secrets by their usage', () => {
  const encrypted = inCeph({ secretFile: 'key', namespace: 'ns', monitors: '10.0.0.1' });
  expect(rbdLibvirtDisk(encrypted)).toBe(`<disk type='network' device='disk'>
  <driver name='qemu' type='raw' discard='unmap'/>
  <source protocol='rbd' name='drives/ns/drivebay-1-epoch-2'>
    <host name='10.0.0.1' port='3300'/>
    <auth username='vms'><secret type='ceph' usage='client.vms secret'/></auth>
    <encryption format='luks'><secret type='passphrase' usage='drivebay-${DRIVE}'/></encryption>
  </source>
  <target dev='vdb' bus='virtio'/>
  <serial>32c90942-edf5-4651-8</serial>
</disk>`);
  const plain = rbdLibvirtDisk(inCeph({}, true));
  expect(plain).not.toMatch(/encryption|<host|discard/);
  expect(plain).toContain('<readonly/>');
});

test('the URI of a drive in Ceph says as whom and where, and monitors that only Ceph understands are left to it', () => {
  expect(rbdUri(inCeph().image)).toBe('rbd:drives/drivebay-1-epoch-2:id=vms');
  const { image } = inCeph({ namespace: 'ns', monitors: '[v2:10.0.0.1:3300,v1:10.0.0.1:6789]' });
  expect(rbdUri(image)).toBe(
    String.raw`rbd:drives/ns/drivebay-1-epoch-2:id=vms:mon_host=[v2\:10.0.0.1\:3300,v1\:10.0.0.1\:6789]`,
  );
  expect(monitorHosts(image)).toEqual([]);
});
