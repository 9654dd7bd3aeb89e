import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { readStats } from '../../data-workers/connection-stats.ts';
import { NBD_CMD, NBD_CMD_FLAG, NBD_ERROR } from '../protocol-numbers.ts';
import type { Form, ReceivedReply, SentRequest } from '../scratch-requests.ts';
import { ScratchConnection, scratchMemory, ScratchThread } from './scratch-connection.ts';

const SECONDS = Number(process.env['DRIVEBAY_FUZZ_SECONDS'] ?? 20);
const SEED = Number(process.env['DRIVEBAY_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const DRIVE_BYTES = 300_007;
const FLAGS = Object.values(NBD_CMD_FLAG);
const CHANGING: ReadonlySet<number> = new Set([NBD_CMD.WRITE, NBD_CMD.TRIM, NBD_CMD.WRITE_ZEROES]);

interface Step extends Omit<SentRequest, 'cookie' | 'data'> {
  readonly command: number;
  readonly flags: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly fill: number;
}

const offsets = fc.oneof(
  fc.nat(DRIVE_BYTES),
  fc.constantFrom(0, DRIVE_BYTES - 1, DRIVE_BYTES, DRIVE_BYTES + 1, 2 ** 40),
);
const lengths = fc.oneof(fc.nat(2000), fc.nat(200_000), fc.constantFrom(0, 1, DRIVE_BYTES));
const flags = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0) },
  fc.constantFrom(...FLAGS),
  fc.nat({ max: 0xffff }),
);
const steps: fc.Arbitrary<Step> = fc.record({
  command: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(0, 1, 1, 3, 4, 5, 6, 7) },
    fc.constantFrom(8, 9, 0xffff),
  ),
  flags,
  offsetBytes: offsets,
  lengthBytes: lengths,
  fill: fc.nat(255),
});
const cases = fc.record({
  form: fc.constantFrom<Form>('simple', 'structured', 'extended'),
  isReadOnly: fc.boolean(),
  steps: fc.array(steps, { maxLength: 30 }),
  leftoverBytes: fc.nat(500),
  pieceBytes: fc.constantFrom(13, 100, 5000, 1_000_000),
  isReading: fc.boolean(),
  /** Bytes of the stream that are changed, as places in it and what comes there. */
  damage: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
});
type Case = typeof cases extends fc.Arbitrary<infer Value> ? Value : never;

/** What the protocol says of a request, put down apart from the code under test. */
function expectedError(step: Step, { form, isReadOnly }: Case): number {
  const { command, offsetBytes, lengthBytes } = step;
  const { FUA, DF, NO_HOLE, FAST_ZERO, REQ_ONE, PAYLOAD_LEN } = NBD_CMD_FLAG;
  const may = [DF, PAYLOAD_LEN, 0, 0, 0, 0, NO_HOLE | FAST_ZERO, REQ_ONE][command];
  const sent = step.flags | (form === 'extended' && command === NBD_CMD.WRITE ? PAYLOAD_LEN : 0);
  if (may === undefined || (sent & ~(may | FUA)) !== 0) return NBD_ERROR.EINVAL;
  if (command === NBD_CMD.FLUSH) return 0;
  if (form === 'simple' && ((sent & DF) !== 0 || command === NBD_CMD.BLOCK_STATUS)) return NBD_ERROR.EINVAL;
  if (form !== 'extended' && (sent & PAYLOAD_LEN) !== 0) return NBD_ERROR.EINVAL;
  if (isReadOnly && CHANGING.has(command)) return NBD_ERROR.EPERM;
  if (lengthBytes === 0) return NBD_ERROR.EINVAL;
  const isFull = command === NBD_CMD.WRITE || command === NBD_CMD.WRITE_ZEROES;
  if (offsetBytes + lengthBytes > DRIVE_BYTES) return isFull ? NBD_ERROR.ENOSPC : NBD_ERROR.EINVAL;
  if ((sent & NO_HOLE) !== 0 && (sent & FAST_ZERO) !== 0) return NBD_ERROR.ENOTSUP;
  return 0;
}

function carriesData({ command, flags: sent }: Step, form: Form): boolean {
  return command === NBD_CMD.WRITE || (form === 'extended' && (sent & NBD_CMD_FLAG.PAYLOAD_LEN) !== 0);
}

/** The drive as it should be, and what each answer should be. */
class Model {
  readonly bytes = Buffer.alloc(DRIVE_BYTES);
  readonly checks: { cookie: number; check: (reply: ReceivedReply) => void }[] = [];

  expect(cookie: number, step: Step, given: Case): void {
    const { command, offsetBytes, lengthBytes } = step;
    const error = expectedError(step, given);
    const end = offsetBytes + lengthBytes;
    if (error === 0 && CHANGING.has(command))
      this.bytes.fill(command === NBD_CMD.WRITE ? step.fill : 0, offsetBytes, end);
    const before = Buffer.from(this.bytes.subarray(offsetBytes, end));
    this.checks.push({
      cookie,
      check: (reply) => {
        if (reply.error !== error) throw new Error(`The error is ${reply.error}, and should be ${error}.`);
        if (error !== 0) return;
        if (command === NBD_CMD.READ && !reply.data.equals(before)) throw new Error('Other data was read.');
        if (command === NBD_CMD.BLOCK_STATUS) checkStatus(reply, before);
      },
    });
  }
}

function must(isTrue: boolean, sentence: string): void {
  if (!isTrue) throw new Error(sentence);
}

function checkStatus({ extents }: ReceivedReply, bytes: Buffer): void {
  let at = 0;
  for (const { lengthBytes, flags: state } of extents) {
    const part = bytes.subarray(at, at + lengthBytes);
    if (state !== 0)
      must(
        part.every((byte) => byte === 0),
        'There is data in a hole.',
      );
    at += lengthBytes;
  }
  must(at > 0 && at <= bytes.length, `The extents cover ${at} bytes.`);
}

const thread = new ScratchThread();

function run(given: Case): number {
  const { form, damage } = given;
  const model = new Model();
  const maker = new ScratchConnection(thread, { form });
  const parts = given.steps.map((step) => {
    const { command, flags: sent, offsetBytes, lengthBytes } = step;
    const request = { command, flags: sent, offsetBytes, lengthBytes };
    const data = carriesData(step, form) ? { data: Buffer.alloc(lengthBytes, step.fill) } : {};
    const bytes = maker.encode({ ...request, ...data });
    model.expect(maker.lastCookie, step, given);
    return bytes;
  });
  const stream = Buffer.concat(parts);
  for (const [place, byte] of damage) if (stream.length > 0) stream[place % stream.length] = byte;
  const device = scratchMemory(DRIVE_BYTES);
  const leftover = stream.subarray(0, given.leftoverBytes);
  const client = new ScratchConnection(thread, { form, device, isReadOnly: given.isReadOnly, leftover });
  for (const [cookie, awaited] of maker.awaited) client.awaited.set(cookie, awaited);
  if (damage.length === 0) {
    follow(client, stream.subarray(leftover.length), given);
    finish(client, model, device);
  } else endure(client, stream.subarray(leftover.length), given);
  client.close();
  maker.close();
  maker.untilEnded();
  expect(thread.buffers.lentCount).toBe(0);
  return given.steps.length;
}

function follow(client: ScratchConnection, stream: Buffer, { pieceBytes, isReading }: Case): void {
  for (let at = 0; at < stream.length; at += pieceBytes) {
    client.send(stream.subarray(at, at + pieceBytes), isReading || at > 100_000);
    if (at % 3 === 0) grantFlushes(client);
  }
}

function finish(client: ScratchConnection, model: Model, device: ReturnType<typeof scratchMemory>): void {
  thread.until(() => {
    grantFlushes(client);
    client.take();
    return client.replies.size === model.checks.length;
  });
  for (const { cookie, check } of model.checks) check(client.reply(cookie));
  const found = Buffer.alloc(DRIVE_BYTES);
  void device.read(0, found);
  expect(found.equals(model.bytes)).toBe(true);
  client.send(client.encode({ command: 'DISC' }));
  expect(client.untilEnded()).toBe('disconnected');
}

/** A damaged stream may mean anything; it must end in order and leave nothing behind. */
function endure(client: ScratchConnection, stream: Buffer, given: Case): void {
  // A cookie that was damaged is answered as it came, and a length that was damaged is that of the reply.
  client.ignoresReplies = true;
  follow(client, stream, { ...given, isReading: true });
  client.close();
  thread.until(() => {
    grantFlushes(client);
    return client.endReason !== null;
  });
  expect(readStats(client.stats).read.requests).toBeLessThanOrEqual(given.steps.length);
}

function grantFlushes(client: ScratchConnection): void {
  for (const done of client.flushes.splice(0)) done(0);
}

test(
  `streams of arbitrary requests do what a model says, and damaged ones do no harm (seed ${SEED})`,
  () => {
    let [runs, requests] = [0, 0];
    const property = fc.property(cases, (given) => {
      runs += 1;
      requests += run(given);
    });
    const limits = { interruptAfterTimeLimit: SECONDS * 1000, markInterruptAsFailure: false };
    fc.assert(property, { seed: SEED, numRuns: 10_000_000, ...limits });
    expect(runs).toBeGreaterThan(10);
    process.stderr.write(`${runs} streams of ${requests} requests in ${SECONDS} s, seed ${SEED}\n`);
  },
  (SECONDS + 60) * 1000,
);
