import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

/** An nginx that serves a directory, with ranges and DAV PUT, as a peer. */
export interface Nginx extends AsyncDisposable {
  readonly port: number;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('There is no free port.');
  return address.port;
}

/** Starts nginx as it is best at this work: sendfile, no access log, a worker a core, large PUT buffers. */
export async function startNginx(directory: string, rootDirectory: string): Promise<Nginx> {
  const port = await freePort();
  mkdirSync(directory, { recursive: true });
  const config = join(directory, 'nginx.conf');
  writeFileSync(config, configOf(directory, rootDirectory, port));
  const child = spawn('nginx', ['-c', config, '-p', directory, '-e', join(directory, 'error.log')], {
    stdio: 'inherit',
  });
  await waitUntilUp(port);
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill('SIGQUIT');
      await once(child, 'exit');
    },
  };
}

async function waitUntilUp(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    try {
      await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(1000) });
      return;
    } catch {
      await new Promise((resolve) => {
        setTimeout(resolve, 50);
      });
    }
  }
  throw new Error('nginx did not start.');
}

function configOf(directory: string, rootDirectory: string, port: number): string {
  return `daemon off;
user root;
worker_processes 2;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log warn;
events { worker_connections 256; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_max_body_size 0;
  client_body_buffer_size 1m;
  client_body_temp_path ${rootDirectory}/.body;
  server {
    listen 127.0.0.1:${port};
    root ${rootDirectory};
    location / { dav_methods PUT DELETE; create_full_put_path on; }
  }
}
`;
}
