import type { MetadataStore } from '../metadata-store.ts';

/** Where metadata have gone, as the database says that they were in. */
export interface MovedMark {
  /** What names the database in messages. */
  readonly database: string;
  readonly movedAtMs: number;
}

const MOVED = 'moved';

/** Null when they have not gone. */
export async function findMovedMark(store: MetadataStore): Promise<MovedMark | null> {
  const text = await store.transaction((tx) => tx.settings.get(MOVED));
  return text === null ? null : (JSON.parse(text) as MovedMark);
}

export async function setMovedMark(store: MetadataStore, mark: MovedMark): Promise<void> {
  await store.transaction((tx) => tx.settings.set(MOVED, JSON.stringify(mark)));
}

/** Nothing happens when there is none. */
export async function removeMovedMark(store: MetadataStore): Promise<void> {
  await store.transaction((tx) => tx.settings.remove(MOVED));
}
