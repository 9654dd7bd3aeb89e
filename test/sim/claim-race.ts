import { DriveError } from '../../src/core/errors.ts';
import type { ErrorCode } from '../../src/core/errors.ts';
import type { User } from '../../src/core/user.ts';
import type { Info } from '../../src/service/service.ts';
import type { SeededRandom } from '../fault/seeded-random.ts';
import type { ScratchService } from '../helpers/scratch-service.ts';

/** One thing that a server does in the race for a drive. */
export type Step =
  | {
      readonly kind: 'claim';
      readonly serverId: string;
      readonly leaseSeconds: number | undefined;
      readonly takeover: boolean;
    }
  | { readonly kind: 'release'; readonly serverId: string }
  | { readonly kind: 'renew'; readonly serverId: string; readonly epoch: number }
  | { readonly kind: 'wait'; readonly waitMs: number }
  | { readonly kind: 'sweep' };

/** How a step ended: the code of its refusal, or the epoch of a claim, or just well. */
export type Outcome = ErrorCode | { readonly epoch: number } | 'done';

/** Who holds the drive, as far as the race knows. */
export interface RaceState {
  holder: {
    readonly serverId: string;
    readonly epoch: number;
    readonly leaseMs: number | null;
    readonly expiresAtMs: number | null;
  } | null;
  lastEpoch: number;
}

export interface Race {
  readonly scratch: ScratchService;
  readonly owner: User;
  readonly driveId: string;
  /** Epochs under which a connection was found to be current once it was registered. */
  readonly admitted: Set<number>;
  sweep(): Promise<void>;
}

export function chooseStep(random: SeededRandom, servers: readonly string[], state: RaceState): Step {
  const serverId = random.pick(servers);
  const leaseSeconds = random.below(3) === 0 ? undefined : random.between(1, 5);
  switch (random.below(10)) {
    case 0:
    case 1:
    case 2:
      return { kind: 'claim', serverId, leaseSeconds, takeover: false };
    case 3:
      return { kind: 'claim', serverId, leaseSeconds, takeover: true };
    case 4:
    case 5:
      return { kind: 'release', serverId };
    case 6:
    case 7:
      return chooseRenewal(random, serverId, state);
    case 8:
      return { kind: 'wait', waitMs: random.below(2500) };
    default:
      return { kind: 'sweep' };
  }
}

/** Half of them are the holder's own, so that there are always enough that succeed. */
function chooseRenewal(random: SeededRandom, serverId: string, state: RaceState): Step {
  if (state.holder !== null && random.below(2) === 0) {
    return { kind: 'renew', serverId: state.holder.serverId, epoch: state.holder.epoch };
  }
  return { kind: 'renew', serverId, epoch: Math.max(1, state.lastEpoch - random.below(3)) };
}

/** Does a step for real. A server that has claimed connects, as a listener lets it: registered first, then checked. */
export async function perform(race: Race, step: Step): Promise<Outcome> {
  const { scratch, owner, driveId } = race;
  const { claims } = scratch.service;
  try {
    switch (step.kind) {
      case 'claim':
        return { epoch: await connect(race, await claims.claim(owner, driveId, step)) };
      case 'release':
        await claims.release(owner, driveId, step);
        return 'done';
      case 'renew':
        await claims.renew(owner, driveId, step);
        return 'done';
      case 'wait':
        scratch.clock.nowMs += step.waitMs;
        return 'done';
      case 'sweep':
        await race.sweep();
        return 'done';
    }
  } catch (error) {
    if (error instanceof DriveError) return error.code;
    throw error;
  }
}

async function connect(race: Race, claim: Info): Promise<number> {
  const { connections, service, clock } = race.scratch;
  const { driveId, admitted } = race;
  const [serverId, epoch] = [String(claim['server']), Number(claim['epoch'])];
  const older = connections.list(driveId).filter((open) => open.epoch < epoch && admitted.has(open.epoch));
  if (older.length > 0)
    throw new Error(`Epoch ${epoch} was answered while ${older[0]?.epoch} was connected.`);
  connections.open(driveId, { serverId, epoch, connections: 1, sinceMs: clock.nowMs });
  if (await service.attachments.isCurrent({ driveId, serverId, epoch })) admitted.add(epoch);
  else connections.close(driveId, epoch);
  return epoch;
}

/** What a step comes to when it is done alone, by the rules written down a second time. */
export function expectAlone(state: RaceState, step: Step, nowMs: number): Outcome {
  const live = state.holder !== null && (state.holder.expiresAtMs ?? Infinity) > nowMs ? state.holder : null;
  switch (step.kind) {
    case 'claim': {
      if (live !== null && live.serverId !== step.serverId && !step.takeover) return 'busy';
      const leaseMs = step.leaseSeconds === undefined ? null : step.leaseSeconds * 1000;
      const epoch = state.lastEpoch + 1;
      state.lastEpoch = epoch;
      const expiresAtMs = leaseMs === null ? null : nowMs + leaseMs;
      state.holder = { serverId: step.serverId, epoch, leaseMs, expiresAtMs };
      return { epoch };
    }
    case 'release':
      if (live?.serverId === step.serverId) state.holder = null;
      return 'done';
    case 'renew':
      if (live === null || live.serverId !== step.serverId || live.epoch !== step.epoch) return 'busy';
      if (live.leaseMs === null) return 'usage';
      state.holder = { ...live, expiresAtMs: nowMs + live.leaseMs };
      return 'done';
    case 'wait':
    case 'sweep':
      return 'done';
  }
}
