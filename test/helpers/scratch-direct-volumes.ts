import type { DirectVolumes } from '../../src/data-workers/direct-volumes.ts';

/** A cluster as those see it who use volumes past Drivebay: which names there are, who has which open, who is kept out. */
export interface ScratchDirectVolumes extends DirectVolumes {
  isPossible: boolean;
  /** Names that are there, each as `DRIVE EPOCH`. */
  readonly names: Set<string>;
  readonly keptOut: string[];
  readonly reclaimed: string[];
  /** Opens a volume as a program at this address; answers whether it was found by the name. */
  open(volumeName: string, epoch: number, address: string): boolean;
  /** The nodes' own address. */
  readonly ownAddress: string;
  /** Awaited by each call once it has looked, before it answers. */
  beforeAnswer: () => Promise<void>;
  /** Set to have every call fail. */
  failure: Error | null;
}

export function createScratchDirectVolumes(): ScratchDirectVolumes {
  const openings = new Map<string, Set<string>>();
  const answer = async <Result>(result: Result): Promise<Result> => {
    if (direct.failure !== null) throw direct.failure;
    await direct.beforeAnswer();
    return result;
  };
  const direct: ScratchDirectVolumes = {
    isPossible: false,
    names: new Set(),
    keptOut: [],
    reclaimed: [],
    ownAddress: 'own',
    beforeAnswer: () => Promise.resolve(),
    failure: null,
    open(volumeName, epoch, address) {
      if (!direct.names.has(`${volumeName} ${epoch}`)) return false;
      openings.set(volumeName, (openings.get(volumeName) ?? new Set()).add(address));
      return true;
    },
    isPossibleIn: () => direct.isPossible,
    async offer({ volumeName, epoch }) {
      const place = { cephPool: 'drives', namespace: null, image: `image-${epoch}`, monitors: null };
      if (direct.failure === null) direct.names.add(`${volumeName} ${epoch}`);
      return await answer(place);
    },
    async withdraw({ volumeName, epoch }) {
      if (direct.failure === null) direct.names.delete(`${volumeName} ${epoch}`);
      return await answer([direct.ownAddress, ...(openings.get(volumeName) ?? [])]);
    },
    async keepOut(_poolName, { addresses }) {
      const foreign = addresses.filter((address) => address !== direct.ownAddress);
      direct.keptOut.push(...foreign);
      for (const all of openings.values()) for (const address of foreign) all.delete(address);
      return await answer(foreign.length);
    },
    async reclaim({ volumeName }) {
      direct.reclaimed.push(volumeName);
      await answer(null);
    },
  };
  return direct;
}
