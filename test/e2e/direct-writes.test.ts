import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noise } from '../helpers/sample-bytes.ts';
import { startServer } from '../helpers/server-process.ts';
import type { ServerProcess } from '../helpers/server-process.ts';
import { pipelineClient, requestBytes } from './pipeline-client.ts';

// Bodies of which a part is there and the rest is not: the thread that receives them is to write them, or is not any more.

const MIB = 1024 * 1024;
const SIZE_BYTES = 4 * MIB;
/** Longer than a data thread stays with a client. */
const SLOW_MS = 2500;

const OLD = noise('old', SIZE_BYTES);
const NEW = noise('new', SIZE_BYTES);

let server: ServerProcess;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

describe.each(['aes-xts-plain', 'none'])('with cipher %s', (cipher) => {
  /** A drive with the old content, and a connection on which half of the new one has been sent. */
  async function half() {
    const drive = await server.create(`size ${SIZE_BYTES}\nencryption:cipher ${cipher}`);
    expect((await server.write(drive, OLD)).status).toBe(204);
    const request = requestBytes('POST', `/drives/${drive}/write/0`, NEW);
    const client = await pipelineClient(server.port);
    const cutAt = request.byteLength - SIZE_BYTES / 2;
    client.socket.write(request.subarray(0, cutAt));
    // Until what was sent is in the hands of a thread.
    await sleep(300);
    return { drive, client, sendRest: () => client.socket.write(request.subarray(cutAt)) };
  }

  const holds = async (drive: string, content: Buffer): Promise<boolean> =>
    (await server.read(drive, 0, SIZE_BYTES)).equals(content);

  test('a body whose client goes away changes nothing', async () => {
    const { drive, client } = await half();
    client.socket.destroy();
    await sleep(300);
    expect(await holds(drive, OLD)).toBe(true);
    // It holds up nobody either.
    expect((await server.post(`/drives/${drive}/set`, `size ${SIZE_BYTES / 2}`)).status).toBe(200);
  });

  test('a body that stops for a while is written when it is whole, and not before', async () => {
    const { drive, client, sendRest } = await half();
    await sleep(SLOW_MS);
    expect(await holds(drive, OLD)).toBe(true);
    sendRest();
    expect((await client.answer()).status).toBe(204);
    expect(await holds(drive, NEW)).toBe(true);
    // The connection is at the next request.
    client.socket.write(requestBytes('POST', `/drives/${drive}/write/0`, OLD));
    expect((await client.answer()).status).toBe(204);
    expect(await holds(drive, OLD)).toBe(true);
    client.socket.destroy();
  });

  test('a claim does not wait long for a body, which is refused when it comes after the claim', async () => {
    const { drive, client, sendRest } = await half();
    const fromMs = performance.now();
    const { status } = await server.post(`/drives/${drive}/claim`, `server ${randomUUID()}`);
    expect([status, performance.now() - fromMs < 10_000]).toEqual([200, true]);
    sendRest();
    expect((await client.answer()).status).toBe(409);
    expect(await holds(drive, OLD)).toBe(true);
    client.socket.destroy();
  });

  test('of a body that becomes complete while a claim waits for it, what is answered is there when the claim is', async () => {
    const { drive, client, sendRest } = await half();
    const claiming = server.post(`/drives/${drive}/claim`, `server ${randomUUID()}`);
    await sleep(300);
    sendRest();
    expect((await claiming).status).toBe(200);
    const isWritten = await holds(drive, NEW);
    expect([isWritten, await holds(drive, OLD)]).toEqual([isWritten, !isWritten]);
    // On a machine that is so busy that the body was given up on before, the claim comes first.
    expect((await client.answer()).status).toBe(isWritten ? 204 : 409);
    client.socket.destroy();
  });
});
