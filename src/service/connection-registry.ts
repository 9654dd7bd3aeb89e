import type { DriveLimits } from '../core/drive-limits.ts';
import {
  addStats,
  CONNECTION_STATS_BYTES,
  IO_KINDS,
  NO_STATS,
  readStats,
  subtractStats,
} from '../data-workers/connection-stats.ts';
import type { ConnectionStats } from '../data-workers/connection-stats.ts';
import { RATE_LIMIT_BYTES, writeRateLimits } from '../data-workers/rate-limit.ts';
import type { AttachedConnection } from '../data-workers/volumes.ts';
import type { ConnectionOwner, Connections, OpenConnections, RegisteredConnection } from './connections.ts';

export interface ConnectionRegistryOptions {
  /** The drive's limits as the metadata has them; null when there is no such drive. */
  readonly limitsOf: (driveId: string) => Promise<DriveLimits | null>;
  /** Takes what a connection has done since the last time. */
  readonly count: (driveId: string, done: ConnectionStats) => void;
  readonly now: () => number;
  readonly reportFailure: (error: unknown, doing: string) => void;
}

/** Budgets of drives without connections that are kept. */
const MAX_IDLE_LIMITS = 1000;

interface Entry extends ConnectionOwner {
  readonly sinceMs: number;
  readonly stats: SharedArrayBuffer;
  readonly closed: PromiseWithResolvers<void>;
  connection: AttachedConnection | null;
  collected: ConnectionStats;
  isCut: boolean;
}

/** The connections that this process serves: what they have done, and how they are ended. */
export class ConnectionRegistry implements Connections {
  readonly #options: ConnectionRegistryOptions;
  readonly #entries = new Map<string, Set<Entry>>();
  readonly #limits = new Map<string, SharedArrayBuffer>();
  readonly #limitReads = new WeakMap<SharedArrayBuffer, number>();
  #total = NO_STATS;
  #isClosing = false;

  constructor(options: ConnectionRegistryOptions) {
    this.#options = options;
  }

  get count(): number {
    return [...this.#entries.values()].reduce((sum, entries) => sum + entries.size, 0);
  }

  countByDrive(): ReadonlyMap<string, number> {
    return new Map([...this.#entries].map(([driveId, entries]) => [driveId, entries.size]));
  }

  /** What all connections have done so far, those that have ended included. */
  total(): ConnectionStats {
    this.collect();
    return this.#total;
  }

  register(owner: ConnectionOwner, limits: DriveLimits): RegisteredConnection {
    const stats = new SharedArrayBuffer(CONNECTION_STATS_BYTES);
    const entry: Entry = {
      ...owner,
      stats,
      sinceMs: this.#options.now(),
      closed: Promise.withResolvers<void>(),
      connection: null,
      collected: NO_STATS,
      isCut: this.#isClosing,
    };
    const limit = this.#limitOf(owner.driveId, limits);
    const entries = this.#entries.get(owner.driveId) ?? new Set();
    this.#entries.set(owner.driveId, entries.add(entry));
    return {
      limit,
      stats,
      get isCut() {
        return entry.isCut;
      },
      attached: (connection) => {
        entry.connection = connection;
      },
      close: () => this.#close(entry, entries),
    };
  }

  async cut(driveId: string, keep: readonly { serverId: string; epoch: number }[]): Promise<void> {
    const isKept = (entry: Entry): boolean =>
      keep.some(({ serverId, epoch }) => serverId === entry.serverId && epoch === entry.epoch);
    const others = [...(this.#entries.get(driveId) ?? [])].filter((entry) => !isKept(entry));
    await Promise.all(others.map((entry) => this.#end(entry)));
  }

  async cutPool(poolName: string): Promise<void> {
    const all = [...this.#entries.values()].flatMap((entries) => [...entries]);
    await Promise.all(all.filter((entry) => entry.poolName === poolName).map((entry) => this.#end(entry)));
  }

  /** Ends every connection, also those that are yet to be registered; for the end of the process. */
  async cutAll(): Promise<void> {
    this.#isClosing = true;
    await Promise.all([...this.#entries.keys()].map((driveId) => this.cut(driveId, [])));
  }

  list(driveId: string): readonly OpenConnections[] {
    const open = new Map<string, OpenConnections>();
    for (const { serverId, epoch, sinceMs } of this.#entries.get(driveId) ?? []) {
      const key = `${serverId} ${epoch}`;
      const before = open.get(key);
      open.set(key, {
        serverId,
        epoch,
        connections: (before?.connections ?? 0) + 1,
        sinceMs: Math.min(before?.sinceMs ?? sinceMs, sinceMs),
      });
    }
    return [...open.values()];
  }

  limitsChanged(driveId: string): void {
    const memory = this.#limits.get(driveId);
    if (memory !== undefined) this.#readLimits(driveId, memory);
  }

  collect(): void {
    for (const entries of this.#entries.values()) for (const entry of entries) this.#collect(entry);
  }

  /** A drive's budget outlives its connections, so that connecting anew does not fill it. */
  #limitOf(driveId: string, limits: DriveLimits): SharedArrayBuffer {
    const known = this.#limits.get(driveId);
    const memory = known ?? new SharedArrayBuffer(RATE_LIMIT_BYTES);
    if (known === undefined) writeRateLimits(memory, limits);
    this.#limits.delete(driveId);
    this.#limits.set(driveId, memory);
    this.#forgetIdleLimits();
    // They may have changed since they were looked up.
    this.#readLimits(driveId, memory);
    return memory;
  }

  #forgetIdleLimits(): void {
    if (this.#limits.size <= this.#entries.size + MAX_IDLE_LIMITS) return;
    for (const driveId of this.#limits.keys()) {
      if (this.#entries.has(driveId)) continue;
      this.#limits.delete(driveId);
      return;
    }
  }

  #readLimits(driveId: string, memory: SharedArrayBuffer): void {
    // An answer that was overtaken by a later question is out of date.
    const read = (this.#limitReads.get(memory) ?? 0) + 1;
    this.#limitReads.set(memory, read);
    this.#options.limitsOf(driveId).then(
      (limits) => {
        if (limits !== null && this.#limitReads.get(memory) === read) writeRateLimits(memory, limits);
      },
      (error: unknown) => this.#options.reportFailure(error, `applying new limits of drive ${driveId}`),
    );
  }

  async #end(entry: Entry): Promise<void> {
    entry.isCut = true;
    try {
      await entry.connection?.detach();
    } catch (error) {
      this.#options.reportFailure(error, `cutting a connection of drive ${entry.driveId}`);
    }
    await entry.closed.promise;
  }

  #close(entry: Entry, entries: Set<Entry>): void {
    this.#collect(entry);
    entries.delete(entry);
    if (entries.size === 0 && this.#entries.get(entry.driveId) === entries) {
      this.#entries.delete(entry.driveId);
    }
    entry.closed.resolve();
  }

  #collect(entry: Entry): void {
    const stats = readStats(entry.stats);
    const since = subtractStats(stats, entry.collected);
    if (IO_KINDS.every((kind) => since[kind].requests === 0)) return;
    entry.collected = stats;
    this.#total = addStats(this.#total, since);
    this.#options.count(entry.driveId, since);
  }
}
