import type { Tier } from './drive.ts';
import { DriveError } from './errors.ts';

/** What placement knows of a pool. */
export interface PoolView {
  readonly name: string;
  /** The failure domain such as `rack1/host2/disk3`. */
  readonly domain: string;
  /** The kind of hardware; null takes any request. */
  readonly tier: Tier | null;
  /** Whether the pool can be reached and is marked as ours. */
  readonly isActive: boolean;
  /** Room left before the reserve, in bytes; never negative. */
  readonly availableBytes: number;
}

/** A drive that the new one must not share hardware with. */
export interface AvoidedDrive {
  readonly driveId: string;
  readonly poolName: string;
}

export interface PlacementRequest {
  readonly sizeBytes: number;
  readonly tier: Tier;
  readonly avoid: readonly AvoidedDrive[];
}

/**
 * Chooses the pool for a new drive: of the pools that are active, of the tier and have any room, and
 * share no failure domain with a drive in `avoid`, the one with the most room; the first by name of equals.
 *
 * Drives are thin: a drive may be larger than the room of its pool, whose admission of writes is separate.
 *
 * @throws DriveError full when there is none, saying what stands in the way
 */
export function placeDrive(request: PlacementRequest, pools: readonly PoolView[]): PoolView {
  const domainOf = new Map(pools.map((pool) => [pool.name, pool.domain]));
  const usable = pools.filter((pool) => pool.isActive && suits(pool, request.tier));
  if (usable.length === 0) throw noPool(request.tier, pools);
  const roomy = usable.filter((pool) => pool.availableBytes > 0);
  if (roomy.length === 0) {
    throw new DriveError(
      'full',
      `There is no room left in ${listed(
        usable.map((pool) => pool.name),
        'pool',
      )}.`,
    );
  }
  // A pool that is no longer configured has no domain: nobody can promise that it is other hardware.
  const unknown = request.avoid.find((drive) => !domainOf.has(drive.poolName));
  if (unknown !== undefined) throw unknownDomain(unknown);
  const avoided = new Set(request.avoid.map((drive) => domainOf.get(drive.poolName)));
  const allowed = roomy.filter((pool) => !avoided.has(pool.domain));
  const best = allowed.reduce<PoolView | null>(better, null);
  if (best === null) throw avoidUnsatisfied(request.avoid, roomy, domainOf);
  return best;
}

/** Whether a pool takes drives of this tier: one without a tier takes any. */
export function suits(pool: Pick<PoolView, 'tier'>, tier: Tier): boolean {
  return pool.tier === null || pool.tier === tier;
}

function better(best: PoolView | null, pool: PoolView): PoolView {
  if (best === null || pool.availableBytes > best.availableBytes) return pool;
  return pool.availableBytes === best.availableBytes && pool.name < best.name ? pool : best;
}

function noPool(tier: Tier, pools: readonly PoolView[]): DriveError {
  const away = pools.filter((pool) => suits(pool, tier));
  const why =
    away.length === 0
      ? `No pool of tier ${tier} is configured.`
      : `No pool of tier ${tier} can be reached; ${listed(
          away.map((pool) => pool.name),
          'pool',
        )} is inactive.`;
  return new DriveError('full', why, { tier });
}

function unknownDomain(drive: AvoidedDrive): DriveError {
  return new DriveError(
    'full',
    `Drive ${drive.driveId} cannot be avoided: its pool ${drive.poolName} is not configured.`,
    { drive: drive.driveId, pool: drive.poolName },
  );
}

function avoidUnsatisfied(
  avoid: readonly AvoidedDrive[],
  roomy: readonly PoolView[],
  domainOf: ReadonlyMap<string, string>,
): DriveError {
  const domains = [...new Set(roomy.map((pool) => pool.domain))].sort();
  const inTheWay = avoid.filter((drive) => domains.includes(domainOf.get(drive.poolName) ?? ''));
  const sentences = inTheWay.map(
    (drive) => `drive ${drive.driveId} is in ${domainOf.get(drive.poolName) ?? ''}`,
  );
  return new DriveError(
    'full',
    `No placement satisfies avoid: ${sentences.join(', ')}, and there is room only in ${listed(domains, 'domain')}.`,
    { drives: inTheWay.map((drive) => drive.driveId), domains },
  );
}

function listed(names: readonly string[], noun: string): string {
  return `${noun}${names.length === 1 ? '' : 's'} ${names.join(', ')}`;
}
