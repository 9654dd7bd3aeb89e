import type { CopyTask } from './plain-copy.ts';

/** Hands out the tasks of one copy to its threads, and knows below which offset everything is done. */
export interface CopySchedule {
  /** The next task; null when there is none left. */
  next(): Promise<CopyTask | null>;
  done(task: CopyTask): void;
  /** Everything below this offset has been copied; at the end, the size of the drive. */
  readonly doneBelowBytes: number;
}

export type PlanTasks = (
  fromBytes: number,
) => Promise<{ tasks: readonly CopyTask[]; nextOffsetBytes: number }>;

/** Tasks are planned as they are needed, so that what is kept in memory does not grow with the drive. */
export function createCopySchedule(
  plan: PlanTasks,
  range: { startBytes: number; endBytes: number },
): CopySchedule {
  const planned: CopyTask[] = [];
  /** Offsets of the tasks that are under way. They are handed out in order, so the first is the lowest. */
  const underWay = new Set<number>();
  let plannedBytes = range.startBytes;
  let planning: Promise<void> | null = null;

  async function planMore(): Promise<void> {
    const { tasks, nextOffsetBytes } = await plan(plannedBytes);
    planned.push(...tasks);
    plannedBytes = nextOffsetBytes;
  }

  return {
    async next() {
      while (planned.length === 0 && plannedBytes < range.endBytes) {
        planning ??= planMore().finally(() => {
          planning = null;
        });
        await planning;
      }
      const task = planned.shift() ?? null;
      if (task !== null) underWay.add(task.range.offsetBytes);
      return task;
    },
    done(task) {
      underWay.delete(task.range.offsetBytes);
    },
    get doneBelowBytes() {
      const [lowest] = underWay;
      return lowest ?? planned[0]?.range.offsetBytes ?? plannedBytes;
    },
  };
}
