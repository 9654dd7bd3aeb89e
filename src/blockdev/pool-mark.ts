/** What the mark of a pool is called, wherever it lies. */
export const POOL_MARK_NAME = 'drivebay-pool.json';
const FORMAT_VERSION = 1;

/** Whether the pool may be used; if not, one sentence for the operator with what to do. */
export type PoolMarkCheck =
  | {
      readonly ok: true;
      /** Whether it is reached anew, so that what was open in it must be opened again. */
      readonly isReopened?: boolean;
    }
  | { readonly ok: false; readonly reason: string };

/** Whose pool it is to be. */
export interface PoolMarkRequest {
  readonly poolName: string;
  readonly installationId: string;
  /** Whether this installation has never used the pool: only then is a place without a mark marked, durably. */
  readonly mayCreate: boolean;
}

/** Where a mark lies. */
export interface PoolMarkPlace {
  /** The place of the mark, as messages name it. */
  readonly path: string;
  /** What it marks, such as `the directory`. */
  readonly what: string;
  /** Null when there is none. */
  read(): string | null;
  /** Puts it there, durably and as a whole. */
  write(text: string): void;
  /** What is probably the matter with a pool that was used before and has no mark now, and what to do. */
  readonly missingReason: string;
}

interface PoolMark {
  readonly format: number;
  readonly installation: string;
  readonly pool: string;
}

/**
 * Checks that the place is the pool it is configured as. The mark lies where the drives lie: where that is not there the
 * mark is missing, and the drives become inactive instead of being made anew somewhere else.
 */
export function checkMark(place: PoolMarkPlace, request: PoolMarkRequest): PoolMarkCheck {
  const { poolName, installationId, mayCreate } = request;
  const text = place.read();
  if (text === null) {
    if (!mayCreate) return { ok: false, reason: `Pool ${poolName}: ${place.missingReason}` };
    const mark: PoolMark = { format: FORMAT_VERSION, installation: installationId, pool: poolName };
    place.write(`${JSON.stringify(mark, null, 2)}\n`);
    return { ok: true };
  }
  const reason = mismatchReason(parseMark(text), place, request);
  return reason === null ? { ok: true } : { ok: false, reason };
}

function mismatchReason(
  mark: PoolMark | null,
  { path, what }: PoolMarkPlace,
  { poolName, installationId }: PoolMarkRequest,
): string | null {
  if (mark === null) return `Pool ${poolName}: ${path} is damaged. Restore it from a backup.`;
  if (mark.format !== FORMAT_VERSION) {
    return `Pool ${poolName}: ${path} has format ${mark.format}, and this Drivebay knows ${FORMAT_VERSION}. Run the version of Drivebay that wrote it, or a later one.`;
  }
  if (mark.installation !== installationId) {
    return `Pool ${poolName}: ${path} says that ${what} belongs to installation ${mark.installation}, and this is ${installationId}. Use another one, or start Drivebay with the metadata of that installation.`;
  }
  if (mark.pool !== poolName) {
    return `Pool ${poolName}: ${path} says that ${what} is pool ${mark.pool}. Correct the pool's name or its place in the configuration.`;
  }
  return null;
}

function parseMark(text: string): PoolMark | null {
  try {
    const mark: unknown = JSON.parse(text);
    return isMark(mark) ? mark : null;
  } catch {
    return null;
  }
}

function isMark(value: unknown): value is PoolMark {
  if (typeof value !== 'object' || value === null) return false;
  if (!('format' in value && 'installation' in value && 'pool' in value)) return false;
  const { format, installation, pool } = value;
  return typeof format === 'number' && typeof installation === 'string' && typeof pool === 'string';
}
