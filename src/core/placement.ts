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
  /** All that the pool holds when it is full, in bytes; 0 while it is not known. */
  readonly totalBytes: number;
  /** Room left before the reserve, in bytes; never negative. */
  readonly availableBytes: number;
}

/** A pool as a place for one more drive. */
export interface PlacementPool extends PoolView {
  /** What the drives in it may come to need, being thin: the sum of their sizes, in bytes. */
  readonly promisedBytes: number;
}

/** A drive that the new one must not share hardware with. */
export interface AvoidedDrive {
  readonly driveId: string;
  readonly poolName: string;
}

export interface PlacementRequest {
  /** The UUID of the new drive, which decides what pools are looked at where there are many. */
  readonly driveId: string;
  readonly sizeBytes: number;
  readonly tier: Tier;
  readonly avoid: readonly AvoidedDrive[];
}

const CANDIDATES = 16;

/**
 * Chooses the pool for a new drive: of the pools that are active, of the tier and have any room, and share no failure
 * domain with a drive in `avoid`, the one that would be the least full, as a share of what it holds; the first by name of equals.
 * Where there are more than `CANDIDATES` of them, that many are looked at, others for each drive: to look at all of
 * thousands would take longer, and nodes that do not yet know what the others have just placed would all choose the same.
 *
 * Drives are thin: a drive may be larger than the room of its pool, whose admission of writes is separate. So a pool counts
 * as full as it is, or as its drives may make it, whichever is more: by its room alone, drives that are created
 * before anything is written to them would all go into one pool.
 *
 * @throws DriveError full when there is none, saying what stands in the way
 */
export function placeDrive(request: PlacementRequest, pools: readonly PlacementPool[]): PlacementPool {
  const avoided = avoidedDomains(request.avoid, pools);
  if (avoided === null) throw refusal(request, pools);
  let best: PlacementPool | null = null;
  let bestShare = Infinity;
  let found = 0;
  for (const pool of inOrderOf(request.driveId, pools)) {
    if (!isUsable(pool, request.tier) || pool.availableBytes === 0 || avoided.has(pool.domain)) continue;
    const share = fullShare(pool, request.sizeBytes);
    if (best === null || share < bestShare || (share === bestShare && pool.name < best.name)) {
      best = pool;
      bestShare = share;
    }
    found += 1;
    if (found === CANDIDATES) break;
  }
  if (best === null) throw refusal(request, pools);
  return best;
}

/**
 * Checks that a drive may lie in this very pool, by the rules for a new one.
 *
 * @throws DriveError missing when there is no such pool, system while it is inactive, full when the pool is of another
 *   tier, has not this much room, or shares its failure domain with a drive in `avoid`
 */
export function checkPlace(
  request: PlacementRequest & { poolName: string; neededBytes: number },
  pools: readonly PoolView[],
): void {
  const { poolName, tier, neededBytes } = request;
  const pool = pools.find(({ name }) => name === poolName);
  if (pool === undefined) throw new DriveError('missing', `Pool ${poolName} could not be found.`);
  if (!pool.isActive) throw new DriveError('system', `Pool ${poolName} is inactive.`, { pool: poolName });
  if (!suits(pool, tier)) {
    throw new DriveError(
      'full',
      `Pool ${poolName} is of tier ${pool.tier ?? 'any'}, and drive ${request.driveId} would be of tier ${tier}: move it with the other tier.`,
      { drive: request.driveId, pool: poolName },
    );
  }
  if (pool.availableBytes === 0 || pool.availableBytes < neededBytes) {
    throw new DriveError(
      'full',
      `Drive ${request.driveId} takes ${neededBytes} bytes, and pool ${poolName} has room for ${pool.availableBytes}.`,
      { drive: request.driveId, pool: poolName },
    );
  }
  const domainOf = new Map(pools.map(({ name, domain }) => [name, domain]));
  const unknown = request.avoid.find((drive) => !domainOf.has(drive.poolName));
  if (unknown !== undefined) throw unknownDomain(unknown);
  const inTheWay = request.avoid.filter((drive) => domainOf.get(drive.poolName) === pool.domain);
  if (inTheWay.length > 0) throw avoidUnsatisfied(inTheWay, [pool], domainOf);
}

/** Every pool once, in an order that is each drive's own. */
function* inOrderOf(driveId: string, pools: readonly PlacementPool[]): Generator<PlacementPool> {
  const count = pools.length;
  let index = hexNumber(driveId, 0) % Math.max(1, count);
  let step = (hexNumber(driveId, 24) % Math.max(1, count)) + 1;
  while (!isCoprime(step, count)) step += 1;
  for (let done = 0; done < count; done += 1) {
    const pool = pools[index];
    if (pool !== undefined) yield pool;
    index = (index + step) % count;
  }
}

/** A number out of the digits of a UUID that have no dash among them. */
function hexNumber(driveId: string, from: number): number {
  return Number.parseInt(driveId.slice(from, from + 8), 16) || 0;
}

function isCoprime(one: number, other: number): boolean {
  let [larger, smaller] = [one, other];
  while (smaller !== 0) [larger, smaller] = [smaller, larger % smaller];
  return larger === 1;
}

/** The domains of these drives; null when one of them is not known. */
function avoidedDomains(
  avoid: readonly AvoidedDrive[],
  pools: readonly PlacementPool[],
): ReadonlySet<string> | null {
  const domains = new Set<string>();
  for (const { poolName } of avoid) {
    const pool = pools.find(({ name }) => name === poolName);
    if (pool === undefined) return null;
    domains.add(pool.domain);
  }
  return domains;
}

function isUsable(pool: PlacementPool, tier: Tier): boolean {
  return pool.isActive && suits(pool, tier);
}

/** How full the pool is, or may become, with one more drive of this size: a share, which is over 1 where more is promised than there is. */
function fullShare({ totalBytes, availableBytes, promisedBytes }: PlacementPool, sizeBytes: number): number {
  return Math.max(totalBytes - availableBytes, promisedBytes + sizeBytes) / Math.max(1, totalBytes);
}

/** Says why no pool takes the drive. */
function refusal(request: PlacementRequest, pools: readonly PlacementPool[]): DriveError {
  const usable = pools.filter((pool) => isUsable(pool, request.tier));
  if (usable.length === 0) return noPool(request.tier, pools);
  const roomy = usable.filter((pool) => pool.availableBytes > 0);
  if (roomy.length === 0) {
    const names = usable.map((pool) => pool.name);
    return new DriveError('full', `There is no room left in ${listed(names, 'pool')}.`);
  }
  // A pool that is no longer configured has no domain: nobody can promise that it is other hardware.
  const domainOf = new Map(pools.map((pool) => [pool.name, pool.domain]));
  const unknown = request.avoid.find((drive) => !domainOf.has(drive.poolName));
  return unknown === undefined ? avoidUnsatisfied(request.avoid, roomy, domainOf) : unknownDomain(unknown);
}

/** Whether a pool takes drives of this tier: one without a tier takes any. */
export function suits(pool: Pick<PoolView, 'tier'>, tier: Tier): boolean {
  return pool.tier === null || pool.tier === tier;
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
