import { difference, plainContent } from './drive-content.ts';
import type { Content, Range } from './drive-content.ts';

/** One state that a drive may be in: whole, or not at all. */
export interface Version {
  readonly name: string;
  readonly tag: string;
  readonly sizeBytes: number;
  readonly content: Content;
  /** The image that makes this version, or null. */
  readonly job: Job | null;
}

export interface Job {
  readonly source: ModelDrive;
  readonly isPacked: boolean;
}

export interface ModelDrive {
  readonly id: string;
  version: Version;
  /** What the drive is otherwise, while a change is not acknowledged; null is gone. */
  otherwise: Version | 'gone' | null;
  /** Something other than writes is under way. */
  isTaken: boolean;
  readonly writing: Set<Range>;
}

export type Info = Readonly<Record<string, string | number>>;

export class Violation extends Error {}

export interface Model {
  readonly drives: Map<string, ModelDrive>;
  /** Creates that nothing was heard of, by their name. */
  readonly creating: Map<string, Version>;
  acknowledged: number;
}

export function newDrive(id: string, version: Version): ModelDrive {
  return { id, version, otherwise: null, isTaken: false, writing: new Set() };
}

export function imagesOf(model: Model, source: ModelDrive): readonly ModelDrive[] {
  return [...model.drives.values()].filter(
    (drive) =>
      drive.version.job?.source === source ||
      (drive.otherwise !== null && drive.otherwise !== 'gone' && drive.otherwise.job?.source === source),
  );
}

/** After a restart: the drives are those of the model, give or take what was not acknowledged. */
export function settleList(model: Model, infos: readonly Info[]): void {
  const shown = new Map(infos.map((info) => [String(info['drive']), info]));
  for (const [id, info] of shown) {
    if (model.drives.has(id)) continue;
    const version = model.creating.get(String(info['name']));
    if (version === undefined) throw new Violation(`nobody made ${JSON.stringify(info)}`);
    model.drives.set(id, newDrive(id, version));
  }
  model.creating.clear();
  for (const [id, drive] of model.drives) {
    drive.isTaken = false;
    drive.writing.clear();
    const info = shown.get(id);
    if (info !== undefined) settleInfo(drive, info);
    else if (drive.otherwise === 'gone') model.drives.delete(id);
    else throw new Violation(`drive ${id} is gone`);
  }
}

function settleInfo(drive: ModelDrive, info: Info): void {
  if (drive.otherwise === 'gone') drive.otherwise = null;
  const versions = [drive.version, drive.otherwise].filter((version) => version !== null);
  const fitting = versions.filter((version) => fits(version, info));
  const [first, second] = fitting;
  if (first === undefined) {
    const expected = versions.map(({ name, tag, sizeBytes }) => ({ name, tag, sizeBytes }));
    throw new Violation(`${JSON.stringify(info)} instead of ${JSON.stringify(expected)}`);
  }
  drive.version = first;
  drive.otherwise = second ?? null;
}

function fits({ name, tag, sizeBytes, job }: Version, info: Info): boolean {
  const isShown = info['name'] === name && info['tags'] === tag && info['size'] === sizeBytes;
  return isShown && info['status'] === 'active' && (job !== null || info['imaging'] === undefined);
}

/** What was unknown is known from now on. */
export function settleBytes(drive: ModelDrive, actual: Buffer): void {
  const versions = [drive.version, drive.otherwise].filter(
    (version) => version !== null && version !== 'gone',
  );
  const wrong: string[] = [];
  for (const version of versions) {
    const problem = difference(version.content, actual);
    if (problem === null) {
      drive.version = { ...version, content: plainContent(Buffer.from(actual)), job: null };
      drive.otherwise = null;
      return;
    }
    wrong.push(problem);
  }
  throw new Violation(`drive ${drive.id} (${drive.version.name}): ${wrong.join('; or ')}`);
}

/** True when no image onto the drive is under way any more. */
export function isImaged(drive: ModelDrive, info: Info): boolean {
  if (info['imaging:error'] !== undefined) throw new Violation(`${drive.id}: ${info['imaging:error']}`);
  return info['imaging'] === undefined;
}
