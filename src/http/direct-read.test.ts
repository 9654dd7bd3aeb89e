import { expect, test } from 'vitest';
import { NO_DIGEST } from '../core/body-digest.ts';
import { DRIVE, fakeService, OTHER, pagesOf } from '../../test/helpers/fake-service.ts';
import { head, listeningHarness, rawClient } from '../../test/helpers/http-harness.ts';
import { DriveError } from '../core/errors.ts';
import { scratchMemory } from '../data-workers/scratch-sockets.ts';
import { loadSocketCalls } from '../runtime/socket-calls.ts';
import type { DriveReadRequest, Piece } from '../service/service.ts';

const READ = `/drives/${DRIVE}/read`;

/** Waits for a condition that some other party brings about. */
async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test('a read has a socket only while its own client is there, whoever gets the number of its descriptor', async () => {
  const { promise: began, resolve: begin } = Promise.withResolvers<DriveReadRequest>();
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const { service } = fakeService();
  const read = async (actor: never, drive: string, wanted: DriveReadRequest) => {
    begin(wanted);
    await gate;
    return await service.driveData.read(actor, drive, wanted);
  };
  await using harness = await listeningHarness({ service: fakeService({ driveData: { read } }).service });
  using first = rawClient(harness.address);
  first.send(head(`GET ${READ}/0/512`));
  const { socket } = await began;
  const descriptor = socket?.descriptor() ?? null;
  expect(descriptor).toBeGreaterThan(0);
  const second = rawClient(harness.address);
  second.send(head('GET /drives/list'));
  await second.until('HTTP/1.1 200');
  expect(socket?.descriptor()).toBe(descriptor);
  first.socket.resetAndDestroy();
  await eventually(() => harness.lines.length > 1);
  expect(socket?.descriptor()).toBe(null);
  using third = rawClient(harness.address);
  third.send(head('GET /drives/list'));
  await third.until('HTTP/1.1 200');
  expect(socket?.descriptor()).toBe(null);
  open();
  second[Symbol.dispose]();
});

test('a read that was sent in part before it failed cuts the connection, and nothing else is said', async () => {
  const read = async (_actor: unknown, _drive: unknown, { socket }: DriveReadRequest) => {
    const calls = loadSocketCalls();
    const { bytes, span } = scratchMemory((socket?.head.byteLength ?? 0) + 100);
    bytes.set(socket?.head ?? []);
    calls.send(socket?.descriptor() ?? -1, span, false);
    const pieces = (async function* (): AsyncGenerator<Piece> {
      yield* [];
      throw new DriveError('system', 'The pool is away.');
    })();
    return { digest: NO_DIGEST, sentBytes: 100, pieces };
  };
  await using harness = await listeningHarness({ service: fakeService({ driveData: { read } }).service });
  using client = rawClient(harness.address);
  client.send(head(`GET ${READ}/0/4M`));
  const { text } = await client.closed();
  expect(text.split('\r\n\r\n')[1]).toBe('\0'.repeat(100));
  expect(harness.lines).toContainEqual(expect.objectContaining({ level: 40, msg: 'a part is away' }));
});

test('a read that is refused keeps its connection for the next request', async () => {
  const read = async () => {
    throw new DriveError('missing', 'The drive could not be found.');
  };
  await using harness = await listeningHarness({ service: fakeService({ driveData: { read } }).service });
  using client = rawClient(harness.address);
  client.send(head(`GET ${READ}/0/4M`));
  expect(await client.until('could not be found')).toMatch(/^HTTP\/1.1 404 [^]*Connection: keep-alive/);
  client.send(head('GET /drives/list'));
  await client.until(OTHER);
});

test('a read whose client has hung up is no failure in the log', async () => {
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const read = async () => {
    await gate;
    return { digest: NO_DIGEST, sentBytes: 0, pieces: pagesOf() as AsyncGenerator<never> };
  };
  await using harness = await listeningHarness({ service: fakeService({ driveData: { read } }).service });
  const client = rawClient(harness.address);
  client.send(head(`GET ${READ}/0/4M`));
  client.socket.resetAndDestroy();
  await client.closed();
  open();
  await eventually(() => harness.lines.length > 0);
  expect(harness.lines).toEqual([expect.objectContaining({ level: 30, isAborted: true })]);
});
