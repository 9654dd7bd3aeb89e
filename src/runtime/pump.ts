/** Runs a piece of work whenever it is woken, one run at a time; what is woken meanwhile is one more run. */
export interface Pump {
  wake(): void;
  /** Resolves when no run is under way. */
  settled(): Promise<void>;
}

export function createPump(work: () => Promise<void>, onError: (error: unknown) => void): Pump {
  let running: Promise<void> | null = null;
  let isWoken = false;

  async function run(): Promise<void> {
    while (isWoken) {
      isWoken = false;
      try {
        await work();
      } catch (error) {
        onError(error);
      }
    }
    // No wait lies between the last look at isWoken and this, so no wake is lost.
    running = null;
  }

  return {
    wake() {
      isWoken = true;
      running ??= run();
    },
    async settled() {
      await running;
    },
  };
}
