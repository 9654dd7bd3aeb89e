import type { Answer, DriveClient } from '../helpers/drive-client.ts';
import { overlap, packed, resized, withBytes, withUnknown, zeros } from './drive-content.ts';
import type { Range } from './drive-content.ts';
import { imagesOf, isImaged, newDrive, settleBytes, Violation } from './kill-model.ts';
import type { Model, ModelDrive, Version } from './kill-model.ts';
import type { SeededRandom } from './seeded-random.ts';

const MIB = 1024 * 1024;
const LEAST_DRIVES = 4;
const MOST_DRIVES = 8;
const MOST_WRITTEN_BYTES = 300_000;

/** Users at work on a server, until it is killed or they are to stop. */
export interface Load {
  readonly client: DriveClient;
  readonly model: Model;
  readonly random: SeededRandom;
  isKilled(): boolean;
  isStopped(): boolean;
  /** Whether a failure is one that passes: what was asked for is in doubt then, as at a kill, and the user goes on. */
  isPassing(error: unknown): boolean;
  /** Does what servers do with a drive that nobody else uses meanwhile; null where there are no servers. */
  readonly attach: ((drive: ModelDrive) => Promise<void>) | null;
}

export async function useUntilKilled(load: Load): Promise<void> {
  while (!load.isKilled() && !load.isStopped()) {
    try {
      await useOnce(load);
    } catch (error) {
      if (load.isPassing(error)) continue;
      if (error instanceof Violation || !load.isKilled()) throw error;
      return;
    }
  }
}

async function useOnce(load: Load): Promise<void> {
  const { random, model } = load;
  const free = [...model.drives.values()].filter((drive) => !drive.isTaken);
  const idle = free.filter((drive) => drive.writing.size === 0 && drive.version.job === null);
  const unused = idle.filter((drive) => imagesOf(model, drive).length === 0);
  const writable = free.filter((drive) => drive.version.job === null && imagesOf(model, drive).length === 0);
  const turn = random.below(100);
  if (
    model.drives.size + model.creating.size < LEAST_DRIVES ||
    (turn < 5 && model.drives.size < MOST_DRIVES)
  ) {
    return create(load);
  }
  if (turn < 10 && unused.length > 0 && model.drives.size > LEAST_DRIVES)
    return destroy(load, random.pick(unused));
  if (turn < 25 && unused.length > 0) return set(load, random.pick(unused));
  if (turn < 35 && unused.length > 0 && idle.length > 1) return image(load, random.pick(unused), idle);
  const imaged = free.filter((drive) => drive.version.job !== null);
  if (turn < 45 && imaged.length > 0) return look(load, random.pick(imaged));
  if (turn < 55 && unused.length > 0 && load.attach !== null) return attach(load, random.pick(unused));
  if (writable.length > 0) return write(load, random.pick(writable));
  return create(load);
}

async function create({ client, model, random }: Load): Promise<void> {
  const sizeBytes = random.pick([MIB, random.between(MIB, 4 * MIB), 4 * MIB, random.between(MIB, 8 * MIB)]);
  const name = `made-${random.below(2 ** 31)}`;
  const version: Version = { name, tag: 'new', sizeBytes, content: zeros(sizeBytes), job: null };
  model.creating.set(name, version);
  const cipher = random.pick(['none', 'aes-xts-plain']);
  const pairs = `name ${name}\nsize ${sizeBytes}\ntags new\nencryption:cipher ${cipher}\n`;
  const answer = await client.post('/drives/create', pairs);
  expectStatus(answer, 200, `create ${name}`);
  const id = /^drive (.*)$/m.exec(answer.text)?.[1];
  if (id === undefined) throw new Violation(`create answers ${answer.text}`);
  model.creating.delete(name);
  model.drives.set(id, newDrive(id, version));
  model.acknowledged += 1;
}

async function destroy({ client, model }: Load, drive: ModelDrive): Promise<void> {
  drive.isTaken = true;
  drive.otherwise = 'gone';
  expectStatus(await client.post(`/drives/${drive.id}/destroy`), 204, `destroy ${drive.id}`);
  model.drives.delete(drive.id);
  model.acknowledged += 1;
}

async function set({ client, model, random }: Load, drive: ModelDrive): Promise<void> {
  drive.isTaken = true;
  const sizeBytes = random.pick([drive.version.sizeBytes, random.between(MIB, 8 * MIB), MIB]);
  const name = `set-${random.below(2 ** 31)}`;
  const tag = `tag-${random.below(2 ** 31)}`;
  const content = resized(drive.version.content, sizeBytes);
  const version = { name, tag, sizeBytes, content, job: null };
  drive.otherwise = version;
  const answer = await client.post(
    `/drives/${drive.id}/set`,
    `name ${name}\ntags ${tag}\nsize ${sizeBytes}\n`,
  );
  expectStatus(answer, 200, `set ${drive.id}`);
  become(model, drive, version);
}

async function image(load: Load, target: ModelDrive, idle: readonly ModelDrive[]): Promise<void> {
  const { client, model, random } = load;
  const isPacked = random.below(3) === 0;
  const { sizeBytes } = target.version;
  const sources = idle.filter(
    (drive) =>
      drive !== target &&
      drive.version.sizeBytes * (isPacked ? 1.01 : 1) + (isPacked ? 1000 : 0) <= sizeBytes,
  );
  if (sources.length === 0) return;
  const source = random.pick(sources);
  target.isTaken = true;
  const content = isPacked
    ? packed(source.version.content, sizeBytes)
    : resized(source.version.content, sizeBytes);
  const version = { ...target.version, content, job: { source, isPacked } };
  target.otherwise = version;
  const path = `/drives/${target.id}/image/${source.id}${isPacked ? '/gzip' : ''}`;
  expectStatus(await client.post(path), 204, path);
  become(model, target, version);
}

function become(model: Model, drive: ModelDrive, version: Version): void {
  drive.version = version;
  drive.otherwise = null;
  drive.isTaken = false;
  model.acknowledged += 1;
}

async function write({ client, model, random }: Load, drive: ModelDrive): Promise<void> {
  const { sizeBytes } = drive.version;
  const align = random.pick([1, 1, 512, 4096]);
  const start = Math.floor(random.below(sizeBytes) / align) * align;
  const most = Math.min(sizeBytes - start, random.pick([1, 600, 5000, 70_000, MOST_WRITTEN_BYTES]));
  const range: Range = { start, end: start + Math.max(1, Math.floor(most / align) * align) };
  if (range.end > sizeBytes || [...drive.writing].some((other) => overlap(range, other))) return;
  drive.writing.add(range);
  drive.version = { ...drive.version, content: withUnknown(drive.version.content, range) };
  const data = random.below(5) === 0 ? Buffer.alloc(range.end - start) : random.bytes(range.end - start);
  expectStatus(await client.write(`${drive.id}/${start}`, data), 204, `write ${drive.id}/${start}`);
  drive.version = { ...drive.version, content: withBytes(drive.version.content, start, data) };
  drive.writing.delete(range);
  model.acknowledged += 1;
}

async function attach(load: Load, drive: ModelDrive): Promise<void> {
  drive.isTaken = true;
  await load.attach?.(drive);
  drive.isTaken = false;
}

/** Compares a copy with its source's bytes once it is made. */
async function look({ client }: Load, drive: ModelDrive): Promise<void> {
  drive.isTaken = true;
  if (isImaged(drive, await client.info(drive.id))) await readBack(client, drive);
  drive.isTaken = false;
}

export async function readBack(client: DriveClient, drive: ModelDrive): Promise<void> {
  settleBytes(drive, await client.read(drive.id, 0, drive.version.sizeBytes));
}

function expectStatus(answer: Answer, status: number, call: string): void {
  if (answer.status !== status) throw new Violation(`${call}: ${answer.status} ${answer.text}`);
}
