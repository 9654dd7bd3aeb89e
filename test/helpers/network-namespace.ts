import { execFile, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const READY_TIMEOUT_MS = 10_000;
/** A lost packet is sent again after this long at the latest, so that nobody waits long for a link that is back. */
const RESEND_MS = 1_000;

/** A cable between this machine and a namespace. */
export interface Link {
  /** This machine's end, which the namespace reaches. */
  readonly address: string;
  /** Nothing gets through any more, in neither direction, and nobody is told so. */
  cut(): Promise<void>;
  restore(): Promise<void>;
}

/** A network of its own, with loopback and the links that it is given. It ends with this process at the latest. */
export interface NetworkNamespace extends AsyncDisposable {
  /** What is put before a command to run it in there. */
  readonly enter: readonly [string, ...string[]];
  /** @param reaches another address of this machine that is reached by this link */
  link(reaches?: string): Promise<Link>;
}

/** Why there can be no namespaces here, or null. */
export async function namespaceProblem(): Promise<string | null> {
  try {
    await run('unshare', ['--net', 'ip', 'link', 'add', 'drivebay0', 'type', 'veth']);
    return null;
  } catch (error) {
    return `no network namespace can be made (as root, with iproute2): ${String(error).trim()}`;
  }
}

export async function startNetworkNamespace(): Promise<NetworkNamespace> {
  // All that is in the namespace goes with the last process in there, and both ends of a link with either.
  const command = ['--pdeathsig', 'KILL', 'unshare', '--net', 'sleep', 'infinity'];
  const holder = spawn('setpriv', command, { stdio: 'ignore' });
  await once(holder, 'spawn');
  const path = `/proc/${holder.pid}/ns/net`;
  await untilApart(path);
  const enter = ['nsenter', `--net=${path}`] as const;
  const inside = async (...args: readonly string[]): Promise<void> =>
    void (await run('nsenter', [`--net=${path}`, ...args]));
  await inside('ip', 'link', 'set', 'lo', 'up');
  // Only newer kernels let this be set.
  const resend = `echo ${RESEND_MS} > /proc/sys/net/ipv4/tcp_rto_max_ms`;
  await inside('sh', '-c', resend).catch(() => undefined);
  return {
    enter,
    link: async (reaches) => await makeLink({ pid: String(holder.pid), inside, reaches }),
    async [Symbol.asyncDispose]() {
      const exited = once(holder, 'exit');
      holder.kill('SIGKILL');
      await exited;
    },
  };
}

async function untilApart(path: string): Promise<void> {
  const ours = await readlink('/proc/self/ns/net');
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  while ((await readlink(path)) === ours) {
    if (performance.now() > deadlineMs) throw new Error('No network namespace comes to be.');
    await sleep(5);
  }
}

async function makeLink(options: {
  readonly pid: string;
  readonly inside: (...args: readonly string[]) => Promise<void>;
  readonly reaches: string | undefined;
}): Promise<Link> {
  const { pid, inside, reaches } = options;
  const name = `db${randomBytes(4).toString('hex')}`;
  const peer = `${name}p`;
  const network = `10.${randomInt(128, 256)}.${randomInt(256)}`;
  const [address, peerAddress] = [`${network}.1`, `${network}.2`];
  await run('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', peer]);
  await run('ip', ['link', 'set', peer, 'netns', pid]);
  await run('ip', ['address', 'add', `${address}/30`, 'dev', name]);
  await run('ip', ['link', 'set', name, 'up']);
  await inside('ip', 'address', 'add', `${peerAddress}/30`, 'dev', peer);
  await inside('ip', 'link', 'set', peer, 'up');
  if (reaches !== undefined) await inside('ip', 'route', 'add', reaches, 'via', address);
  const set = async (state: string): Promise<void> => void (await run('ip', ['link', 'set', name, state]));
  return { address, cut: () => set('down'), restore: () => set('up') };
}
