import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const READY_TIMEOUT_MS = 10_000;

/** Starts nginx in front of the nodes: each request goes to the next one that takes connections. */
export async function startLoadBalancer(options: {
  readonly directory: string;
  readonly port: number;
  readonly nodePorts: readonly number[];
}): Promise<AsyncDisposable> {
  const directory = join(options.directory, 'nginx');
  await mkdir(directory);
  const configPath = join(directory, 'nginx.conf');
  await writeFile(configPath, configText({ ...options, directory }));
  const args = ['-p', directory, '-c', configPath, '-e', join(directory, 'error.log')];
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', 'nginx', ...args], { stdio: 'ignore' });
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadlineMs && !hasEnded()) {
    const answer = await fetch(`http://127.0.0.1:${options.port}/healthz`).catch(() => null);
    if (answer?.ok === true) {
      return {
        async [Symbol.asyncDispose]() {
          const exited = once(child, 'exit');
          child.kill('SIGTERM');
          await exited;
        },
      };
    }
    await sleep(20);
  }
  child.kill('SIGTERM');
  throw new Error(`nginx does not start; ${directory}/error.log says why.`);
}

function configText(options: { directory: string; port: number; nodePorts: readonly number[] }): string {
  const { directory, port, nodePorts } = options;
  const servers = nodePorts.map((nodePort) => `    server 127.0.0.1:${nodePort} fail_timeout=1s;`);
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `  ${kind}_temp_path ${directory}/${kind};`,
  );
  return `daemon off;
pid ${directory}/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
${paths.join('\n')}
  upstream drivebay {
${servers.join('\n')}
    keepalive 64;
  }
  server {
    listen 127.0.0.1:${port};
    client_max_body_size 0;
    location / {
      proxy_pass http://drivebay;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      # Bodies of any size go through as they come.
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_read_timeout 300s;
    }
  }
}
`;
}
