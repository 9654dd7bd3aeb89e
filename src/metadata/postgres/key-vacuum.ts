import type { PostgresConnections } from './postgres-connections.ts';

/** Takes the rows of forgotten keys out of their table, behind the transactions. */
export interface KeyVacuum {
  /** Begins, or has one that runs followed by another. */
  begin(): void;
  /** Resolves when none runs. */
  ended(): Promise<void>;
}

/**
 * PostgreSQL keeps a deleted row until a vacuum, and its bytes until something else takes their place; its log and
 * backups have them for longer. So this is no more than tidiness, and nobody waits for it: what makes old copies
 * worthless is a new master key, see docs/operating.md.
 */
export function createKeyVacuum(connections: Pick<PostgresConnections, 'lendReader'>): KeyVacuum {
  let running: Promise<void> | null = null;
  let isDue = false;

  async function vacuum(): Promise<void> {
    const session = await connections.lendReader();
    try {
      await session.run({ sql: 'vacuum (skip_locked) drive_keys' });
    } finally {
      session.release('keep');
    }
  }

  async function run(): Promise<void> {
    while (isDue) {
      isDue = false;
      // PostgreSQL's own vacuum will come by when this one could not.
      await vacuum().catch(() => undefined);
    }
    running = null;
  }

  return {
    begin() {
      isDue = true;
      running ??= run();
    },
    async ended() {
      await running;
    },
  };
}
