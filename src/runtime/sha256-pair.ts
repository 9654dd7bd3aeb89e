import koffi from 'koffi';
import { createHash } from 'node:crypto';

/** The SHA-256 of each of two messages, which come in parts: whole steps of 64 bytes, but for the last one. */
type Sha256Pair = (one: Message, other: Message) => readonly [Buffer, Buffer];

/** The SHA-256 of one message or of each of two, in a thread of libuv. They stay as they are until it is there. */
type Sha256InThread = (messages: readonly Uint8Array[]) => Promise<readonly Buffer[]>;

export interface PairHashing {
  /** Whether two at once take about as long as one. */
  readonly isFaster: boolean;
  readonly sha256Pair: Sha256Pair;
  readonly sha256InThread: Sha256InThread;
}

type Message = readonly Uint8Array[];

/** Messages go through the function in steps of this (FIPS 180-4). */
const STEP_BYTES = 64;
/** What follows a message in its last step: one byte 0x80, and its length in bits. */
const ENDING_BYTES = 9;
const STATE_WORDS = 8;
/** OpenSSL's layout: its state has room for eight messages, each described by an address and a number of steps. */
const STATE_LANES = 8;
const LANE_BYTES = 16;
/** OpenSSL counts messages by fours; those of no steps cost nothing. */
const FOURS = 1;
const LANES = 4 * FOURS;

/** OPENSSL_INFO_CPU_SETTINGS of openssl/crypto.h. */
const CPU_SETTINGS = 1008;
/** Where that tells that the processor has instructions for SHA. */
const SHA_INSTRUCTIONS = 1n << 29n;

/** The initial hash value of FIPS 180-4. */
const INITIAL_STATE = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
] as const;

/**
 * SHA-256 of two messages at once, in the time of one: the processor's instructions for it take several cycles each but
 * can be begun every cycle, so one message alone leaves them idle half of the time. OpenSSL has code for that, which TLS
 * uses; Node exports it with the rest.
 *
 * One after the other where this OpenSSL or processor has no such thing, or where the result is not that of the ordinary
 * way: the function is OpenSSL's own and may change.
 */
export function loadPairHashing(): PairHashing {
  const transform = bindTransform();
  if (transform === null) return ORDINARY_HASHING;
  const memory = new PairMemory();
  const pair: Sha256Pair = (one, other) => sha256Pair(transform, memory, [one, other]);
  if (!isRight(pair)) return ORDINARY_HASHING;
  return {
    isFaster: true,
    sha256Pair: pair,
    sha256InThread: (messages) => sha256InThread(transform, messages),
  };
}

/** What every processor can do. */
export const ORDINARY_HASHING: PairHashing = {
  isFaster: false,
  sha256Pair: inTurn,
  sha256InThread: async (messages) =>
    await Promise.all(
      messages.map(async (message) =>
        Buffer.from(await crypto.subtle.digest('SHA-256', new Uint8Array(message))),
      ),
    ),
};

function inTurn(one: Message, other: Message): readonly [Buffer, Buffer] {
  return [ordinary(one), ordinary(other)];
}

function ordinary(message: Message): Buffer {
  const digest = createHash('sha256');
  for (const part of message) digest.update(part);
  return digest.digest();
}

interface Transform {
  (stateAddress: bigint, lanesAddress: bigint, fours: number): void;
  async(stateAddress: bigint, lanesAddress: bigint, fours: number, done: (error: unknown) => void): void;
}

function bindTransform(): Transform | null {
  try {
    const lib = koffi.load(null);
    const settings = String(lib.func('const char *OPENSSL_info(int)')(CPU_SETTINGS));
    const features = /^OPENSSL_ia32cap=0x[0-9a-f]+:(0x[0-9a-f]+)/.exec(settings)?.[1];
    if (features === undefined || (BigInt(features) & SHA_INSTRUCTIONS) === 0n) return null;
    return lib.func('void sha256_multi_block(uintptr_t, uintptr_t, int)') as Transform;
  } catch {
    // Not exported, or made for another kind of processor.
    return null;
  }
}

/** Compares with the ordinary way, for messages of unequal length that end within a step and at its end. */
function isRight(pair: Sha256Pair): boolean {
  const messages = [
    [Buffer.alloc(3 * STEP_BYTES, 'one')],
    [Buffer.alloc(5 * STEP_BYTES - ENDING_BYTES + 1, 'other')],
  ] as const;
  const expected = inTurn(...messages);
  return pair(...messages).every((digest, index) => expected[index]?.equals(digest));
}

function sha256Pair(
  transform: Transform,
  memory: PairMemory,
  messages: readonly [Message, Message],
): readonly [Buffer, Buffer] {
  const { stateAddress, lanesAddress } = memory;
  const queues = memory.begin(messages);
  while (takeSteps(queues, memory.lanes) > 0) transform(stateAddress, lanesAddress, FOURS);
  return [digestOf(memory.state, 0), digestOf(memory.state, 1)];
}

/** Steps that are done at once: to hand over as few would take longer. */
const FEW_STEPS = 64;

async function sha256InThread(
  transform: Transform,
  messages: readonly Uint8Array[],
): Promise<readonly Buffer[]> {
  const memory = new PairMemory();
  const { stateAddress, lanesAddress } = memory;
  const queues = memory.begin(messages.map((message) => [message]));
  for (let steps = takeSteps(queues, memory.lanes); steps > 0; steps = takeSteps(queues, memory.lanes)) {
    if (steps <= FEW_STEPS) transform(stateAddress, lanesAddress, FOURS);
    else await transformInThread(transform, memory);
  }
  return messages.map((_, lane) => digestOf(memory.state, lane));
}

async function transformInThread(
  transform: Transform,
  { stateAddress, lanesAddress }: PairMemory,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    transform.async(stateAddress, lanesAddress, FOURS, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}

/** What the calls for one or two messages use, in memory that stays where it is. */
class PairMemory {
  readonly state = new Uint32Array(new ArrayBuffer(4 * STATE_WORDS * STATE_LANES));
  readonly lanes = Buffer.from(new ArrayBuffer(LANES * LANE_BYTES));
  readonly stateAddress = BigInt(koffi.address(this.state));
  readonly lanesAddress = BigInt(koffi.address(this.lanes));
  readonly #endings = [0, 1].map(() => Buffer.from(new ArrayBuffer(2 * STEP_BYTES)));

  /** Begins with one message or two: what is to be done for each. */
  begin(messages: readonly Message[]): readonly Steps[][] {
    INITIAL_STATE.forEach((word, index) => {
      this.state.fill(word, index * STATE_LANES, (index + 1) * STATE_LANES);
    });
    this.lanes.fill(0);
    return messages.map((message, lane) => {
      const ending = this.#endings[lane];
      if (ending === undefined) throw new RangeError('More than two messages cannot be hashed at once.');
      return stepsOf([...message, endingOf(message, ending)]);
    });
  }
}

/** The last bytes of a message, filled up to whole steps. */
function endingOf(message: Message, memory: Buffer): Buffer {
  const lengthBytes = message.reduce((sum, part) => sum + part.byteLength, 0);
  const isWhole = message.slice(0, -1).every((part) => part.byteLength % STEP_BYTES === 0);
  if (!isWhole) throw new RangeError(`All parts of a message but the last are multiples of ${STEP_BYTES}.`);
  const restBytes = lengthBytes % STEP_BYTES;
  const steps = restBytes + ENDING_BYTES > STEP_BYTES ? 2 : 1;
  const ending = memory.subarray(0, steps * STEP_BYTES).fill(0);
  const last = message.at(-1);
  if (last !== undefined) ending.set(last.subarray(last.byteLength - restBytes));
  ending[restBytes] = 0x80;
  ending.writeBigUInt64BE(BigInt(lengthBytes) * 8n, ending.byteLength - 8);
  return ending;
}

/** Whole steps at an address. */
interface Steps {
  address: bigint;
  count: number;
}

function stepsOf(parts: Message): Steps[] {
  return parts
    .map((part) => ({ part, count: Math.floor(part.byteLength / STEP_BYTES) }))
    .filter(({ count }) => count > 0)
    .map(({ part, count }) => ({ address: BigInt(koffi.address(part)), count }));
}

/** Describes what all messages can do next in one go, and says how many steps that is; 0 when all are through. */
function takeSteps(queues: readonly Steps[][], lanes: Buffer): number {
  const counts = queues.map(([next]) => next?.count ?? Infinity);
  const count = Math.min(...counts);
  if (count === Infinity) return 0;
  for (const [lane, queue] of queues.entries()) {
    const [next] = queue;
    lanes.writeBigUInt64LE(next?.address ?? 0n, lane * LANE_BYTES);
    lanes.writeInt32LE(next === undefined ? 0 : count, lane * LANE_BYTES + 8);
    if (next === undefined) continue;
    next.address += BigInt(count * STEP_BYTES);
    next.count -= count;
    if (next.count === 0) queue.shift();
  }
  return count;
}

function digestOf(state: Uint32Array, lane: number): Buffer {
  const digest = Buffer.alloc(STATE_WORDS * 4);
  for (let word = 0; word < STATE_WORDS; word += 1) {
    digest.writeUInt32BE(state[word * STATE_LANES + lane] ?? 0, word * 4);
  }
  return digest;
}
