import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { addressOf } from '../runtime/memory-address.ts';
import { loadSocketCalls } from '../runtime/socket-calls.ts';
import type { MemorySpan } from '../runtime/socket-calls.ts';
import { createSocketLoop } from './socket-loop.ts';
import type { SocketLoop } from './socket-loop.ts';

// Real connections, for tests of what threads do with them.

/** A connection: a client, and the descriptor of the server's end, which nobody else reads or writes. */
export interface SocketPair extends AsyncDisposable {
  readonly client: Socket;
  readonly descriptor: number;
}

export async function socketPair(): Promise<SocketPair> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  client.on('error', () => undefined);
  const [served] = await accepted;
  const { fd: descriptor } = (served as unknown as { readonly _handle: { readonly fd: number } })._handle;
  return {
    client,
    descriptor,
    async [Symbol.asyncDispose]() {
      client.destroy();
      served.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A loop in the test's own thread, which also serves the other ends of its connections. */
export interface ScratchLoop extends Disposable {
  readonly loop: SocketLoop;
  /** Serves sockets until the work is done. */
  during<Result>(work: Promise<Result>): Promise<Result>;
}

export function scratchLoop(): ScratchLoop {
  const calls = loadSocketCalls();
  const signal = calls.newSignal();
  const loop = createSocketLoop(signal);
  return {
    loop,
    async during(work) {
      const state = { isDone: false };
      const end = (): void => {
        state.isDone = true;
      };
      work.then(end, end);
      while (!state.isDone) {
        calls.signal(signal);
        loop.wait();
        await setImmediate();
      }
      return await work;
    },
    [Symbol.dispose]: () => calls.close(signal),
  };
}

/** Memory with an address. */
export function scratchMemory(lengthBytes: number): { readonly bytes: Buffer; readonly span: MemorySpan } {
  const memory = new SharedArrayBuffer(lengthBytes);
  return { bytes: Buffer.from(memory), span: { address: addressOf(memory), lengthBytes } };
}
