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
  /** Tasks that are under way, or done while an earlier one is not, by their offset. */
  const unsettled = new Map<number, { isDone: boolean }>();
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
      if (task !== null) unsettled.set(task.range.offsetBytes, { isDone: false });
      return task;
    },
    done(task) {
      const entry = unsettled.get(task.range.offsetBytes);
      if (entry !== undefined) entry.isDone = true;
      // Tasks are handed out in order, so the first entries are the lowest ones.
      for (const [offsetBytes, { isDone }] of unsettled) {
        if (!isDone) break;
        unsettled.delete(offsetBytes);
      }
    },
    get doneBelowBytes() {
      for (const offsetBytes of unsettled.keys()) return offsetBytes;
      return planned[0]?.range.offsetBytes ?? plannedBytes;
    },
  };
}
