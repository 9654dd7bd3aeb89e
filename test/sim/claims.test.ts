import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';
import { createClaimSweeper } from '../../src/service/claim-sweeper.ts';
import { seededRandom } from '../fault/seeded-random.ts';
import type { SeededRandom } from '../fault/seeded-random.ts';
import { createScratchService } from '../helpers/scratch-service.ts';
import { chooseStep, expectAlone, perform } from './claim-race.ts';
import type { Outcome, Race, RaceState, Step } from './claim-race.ts';

const SERVERS = ['0000000a-0000-4000-8000-000000000000', '0000000b-0000-4000-8000-000000000000'];
const STEPS = 10_000;
const MOST_AT_ONCE = 4;

/** A race on a fresh drive, and what there is to know of it. */
async function startRace(): Promise<Race & { readonly state: RaceState } & AsyncDisposable> {
  const scratch = await createScratchService();
  const owner = await scratch.addUser();
  const { driveId } = await scratch.addDrive(owner);
  const sweep = async (): Promise<void> => {
    const sweeper = createClaimSweeper(scratch.context);
    await sweeper.sweep();
    await sweeper.stop();
  };
  const state: RaceState = { holder: null, lastEpoch: 0 };
  return {
    scratch,
    owner,
    driveId,
    admitted: new Set(),
    sweep,
    state,
    [Symbol.asyncDispose]: () => scratch[Symbol.asyncDispose](),
  };
}

/** Does steps at the same time; their order is the database's, so only what must hold in any order is checked. */
async function stepTogether(
  race: Race & { readonly state: RaceState },
  steps: readonly Step[],
): Promise<void> {
  const { state, scratch, driveId } = race;
  const outcomes = await Promise.all(steps.map((step) => perform(race, step)));
  const epochs = outcomes.flatMap((outcome) => (typeof outcome === 'object' ? [outcome.epoch] : []));
  // Refused claims use no epoch up, and those that came through have one each, all greater than any before.
  expect(epochs.sort((a, b) => a - b)).toEqual(epochs.map((_, index) => state.lastEpoch + 1 + index));
  const all = await scratch.context.metadata.claims.list([driveId]);
  expect(all.length).toBeLessThanOrEqual(1);
  state.lastEpoch += epochs.length;
  state.holder = all[0] ?? null;
}

async function stepAlone(race: Race & { readonly state: RaceState }, step: Step): Promise<Outcome> {
  const expected = expectAlone(race.state, step, race.scratch.clock.nowMs);
  const outcome = await perform(race, step);
  expect(outcome).toEqual(expected);
  return outcome;
}

/** Nobody is connected but the holder, except under a lease that ran out and that nobody has looked at since. */
function expectOneConnected({ scratch, driveId, state }: Race & { readonly state: RaceState }): void {
  const connected = scratch.connections.list(driveId).map(({ epoch }) => epoch);
  expect(connected.filter((epoch) => epoch !== state.holder?.epoch)).toEqual([]);
}

async function run(random: SeededRandom, counts: Map<string, number>): Promise<void> {
  await using race = await startRace();
  for (let done = 0; done < STEPS;) {
    const count = random.below(2) === 0 ? 1 : random.between(2, MOST_AT_ONCE);
    const steps = Array.from({ length: count }, () => chooseStep(random, SERVERS, race.state));
    const [first] = steps;
    if (count === 1 && first !== undefined) {
      const outcome = await stepAlone(race, first);
      const name = `${first.kind} ${typeof outcome === 'object' ? 'done' : outcome}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    } else {
      await stepTogether(
        race,
        steps.filter((step) => step.kind !== 'wait'),
      );
    }
    expectOneConnected(race);
    done += count;
  }
}

test('two servers race for a drive: never two holders, epochs only grow, and a stale one is refused', async () => {
  const seed = Number(process.env['DRIVEBAY_TEST_SEED'] ?? randomInt(2 ** 32));
  const counts = new Map<string, number>();
  await run(seededRandom(seed), counts).catch((error: unknown) => {
    throw new Error(`The race with seed ${seed} (DRIVEBAY_TEST_SEED) broke a rule.`, { cause: error });
  });
  // The race is worth something only when everything has happened in it.
  const names = ['claim done', 'claim busy', 'release done', 'renew done', 'renew busy', 'renew usage'];
  expect(names.filter((name) => (counts.get(name) ?? 0) < 20)).toEqual([]);
});
