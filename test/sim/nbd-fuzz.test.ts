// Strange clients against the NBD handshake, for some seconds each, or longer: DRIVEBAY_FUZZ_SECONDS=600 npx vitest run
// --project e2e test/sim/nbd-fuzz. To repeat a run: DRIVEBAY_TEST_SEED=<the seed that it printed>, with the same command.
import { connect } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { createSecureContext } from 'node:tls';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { DEFAULT_HANDSHAKE_LIMITS, type HandshakeLimits } from '../../src/nbd/limits.ts';
import { type Effect, Negotiation, type Step } from '../../src/nbd/negotiation.ts';
import type { TlsMode } from '../../src/nbd/option-rules.ts';
import { EXPORT_NAME, OFFER, option } from '../../src/nbd/scratch-client.ts';
import { scratchServer } from '../../src/nbd/scratch-server.ts';
import { FIRST_PAIR } from '../helpers/tls-pairs.ts';
import { clientBytes, inPieces, pieceSizes } from './handshake-bytes.ts';
import { expectOnlyAnswers, optionsIn } from './handshake-oracle.ts';

const SECONDS = Number(process.env['DRIVEBAY_FUZZ_SECONDS'] ?? 5);
const SEED = Number(process.env['DRIVEBAY_TEST_SEED'] ?? Date.now() % 2 ** 31);
const TEST_TIMEOUT_MS = SECONDS * 1000 + 60_000;
/** Runs until the time is over; a failure names seed and path, and shows the smallest bytes that do it. */
const RUN = { seed: SEED, numRuns: Infinity, interruptAfterTimeLimit: SECONDS * 1000 } as const;
const TIGHT: HandshakeLimits = {
  ...DEFAULT_HANDSHAKE_LIMITS,
  optionBytes: 100,
  options: 6,
  handshakeBytes: 1_500,
};
/** The most that one option is answered with: every info there is, with the longest name, and what stands around it. */
const ANSWER_BYTES = 4_096 + 500;

const limits = fc.constantFrom(DEFAULT_HANDSHAKE_LIMITS, TIGHT);
const tls = fc.constantFrom('off' as const, 'offered' as const, 'required' as const);

interface Talk {
  readonly output: Buffer;
  readonly effect: Effect;
  /** What the client had sent when it came to this. */
  readonly takenBytes: number;
  readonly resolved: ReadonlySet<string>;
}

/** Lets the client say everything, or as much as it comes to. */
function talk(negotiation: Negotiation, pieces: readonly Buffer[]): Talk {
  negotiation.start();
  const output: Buffer[] = [];
  const resolved = new Set<string>();
  let effect: Effect = { kind: 'read' };
  let takenBytes = 0;
  const answered = (step: Step): Effect => {
    output.push(step.output);
    if (step.effect.kind === 'start-tls') return answered(negotiation.tlsStarted());
    if (step.effect.kind !== 'resolve') return step.effect;
    resolved.add(step.effect.exportName);
    return answered(negotiation.answerExport(step.effect.exportName === EXPORT_NAME ? OFFER : null));
  };
  for (const piece of pieces) {
    if (effect.kind !== 'read') break;
    takenBytes += piece.length;
    effect = answered(negotiation.receive(piece));
  }
  return { output: Buffer.concat(output), effect, takenBytes, resolved };
}

/** Nobody is let in but by naming the export, and over TLS where that is required. */
function expectRightlyIn(effect: Effect, resolved: ReadonlySet<string>, mode: TlsMode): void {
  if (effect.kind !== 'transmit') return;
  expect(effect.agreement.exportName).toBe(EXPORT_NAME);
  expect([...resolved]).toContain(EXPORT_NAME);
  expect(effect.agreement.isTls || mode !== 'required').toBe(true);
}

test(
  `whatever bytes come, in whatever pieces, nothing is sent that was not asked for (seed ${SEED})`,
  { timeout: TEST_TIMEOUT_MS },
  () => {
    let runs = 0;
    const property = fc.property(clientBytes, pieceSizes, limits, tls, (bytes, sizes, limit, mode) => {
      runs += 1;
      const negotiation = new Negotiation({ tls: mode, limits: limit });
      const { output, effect, resolved } = talk(negotiation, inPieces(bytes, sizes));
      const options = optionsIn(bytes);
      expectRightlyIn(effect, resolved, mode);
      expectOnlyAnswers(output, options);
      expect(output.length).toBeLessThanOrEqual(options.length * ANSWER_BYTES + 134);
    });
    fc.assert(property, RUN);
    expect(runs).toBeGreaterThan(SECONDS * 20);
  },
);

test(
  `a client that goes on and on is cut before it has sent more than it may (seed ${SEED})`,
  { timeout: TEST_TIMEOUT_MS },
  () => {
    const property = fc.property(clientBytes, pieceSizes, limits, tls, (bytes, sizes, limit, mode) => {
      const negotiation = new Negotiation({ tls: mode, limits: limit });
      const more = Array.from({ length: limit.options + 1 }, () => option('LIST'));
      const endless = [bytes, ...more, Buffer.alloc(limit.handshakeBytes)];
      const { effect, takenBytes } = talk(negotiation, inPieces(Buffer.concat(endless), sizes));
      expect(effect.kind).not.toBe('read');
      // The piece that is cut off in the middle, and the header that showed that it would be too much.
      expect(takenBytes).toBeLessThanOrEqual(limit.handshakeBytes + Math.max(...sizes) + 16);
    });
    fc.assert(property, RUN);
  },
);

const CONNECTIONS_AT_ONCE = 8;
const CONNECTIONS_OF_ONE_SERVER = 400;

async function visit(port: number, pieces: readonly Buffer[]): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined).resume();
  const closed = new Promise((resolve) => socket.once('close', resolve));
  for (const piece of pieces) {
    if (socket.destroyed) break;
    socket.write(piece);
    await setTimeout(0);
  }
  socket.end();
  await closed;
}

test(
  `every connection ends and leaves nothing behind (seed ${SEED})`,
  { timeout: TEST_TIMEOUT_MS },
  async () => {
    const endMs = performance.now() + SECONDS * 1000;
    const secureContext = createSecureContext(FIRST_PAIR);
    for (let round = 0; performance.now() < endMs; round += 1) {
      await using server = await scratchServer({
        tls: { mode: 'offered', secureContext: () => secureContext },
        limits: { handshakeMs: 300, closingMs: 50 },
      });
      const clients = fc.sample(fc.tuple(clientBytes, pieceSizes), {
        seed: SEED + round,
        numRuns: CONNECTIONS_OF_ONE_SERVER,
      });
      const visits = Array.from({ length: CONNECTIONS_AT_ONCE }, async () => {
        for (let next = clients.pop(); next !== undefined; next = clients.pop()) {
          await visit(server.tcp.port, inPieces(...next));
        }
      });
      await Promise.all(visits);
      const results = await Promise.all(server.results);
      expect(results).toHaveLength(CONNECTIONS_OF_ONE_SERVER);
      expect(server.sockets.filter((socket) => !socket.destroyed)).toEqual([]);
    }
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(128 * 1024 * 1024);
  },
);
