import { createHash } from 'node:crypto';
import type { Conversion } from '../core/imaging.ts';
import { CONVERSIONS } from '../core/imaging.ts';
import { driveMissing } from '../core/errors.ts';
import { isUuid } from '../core/uuid.ts';
import type { Answer } from './answers.ts';
import type { InputSpec } from './command-input.ts';
import type { Command, CommandCall } from './command.ts';
import { pathParam } from './command.ts';
import { CREATE_DRIVE, parseCreateDrive, parseSetDrive, SET_DRIVE } from './drive-inputs.ts';
import { quoted, usage } from './error-table.ts';
import { INPUT_LIMITS } from './limits.ts';
import { LIST_PARAMETERS, parseListPart } from './query.ts';

/** The input of a command that takes nothing. */
export const NO_INPUT: InputSpec = { fields: {}, required: [], hasAttributes: false, refused: {} };

/** A drive's UUID out of the path. What is no UUID is no drive. */
export function driveParam(call: CommandCall, name = 'drive'): string {
  const driveId = pathParam(call, name);
  if (!isUuid(driveId)) throw driveMissing(quoted(driveId));
  return driveId;
}

const QUERY = { method: 'GET', access: 'user', parameters: [], input: NO_INPUT } as const;
const CHANGE = { method: 'POST', access: 'user', parameters: [], input: NO_INPUT } as const;

export const DRIVE_COMMANDS: readonly Command[] = [
  listCommand('/drives/list', 'own', "The user's drives, a UUID each."),
  listCommand('/drives/list/standard', 'standard', 'The drives that all users may read, a UUID each.'),
  infosCommand('/drives/info', { scope: 'own', detail: 'brief' }, "Drive info of all the user's drives."),
  infosCommand(
    '/drives/info/full',
    { scope: 'own', detail: 'full' },
    "Drive info of all the user's drives, with the percentage while imaging, who holds them and their limits.",
  ),
  infosCommand(
    '/drives/info/standard',
    { scope: 'standard', detail: 'brief' },
    'Drive info of the drives that all users may read.',
  ),
  {
    ...QUERY,
    path: '/drives/activity',
    summary: "What was done since the start to the user's drives that are connected or were used last.",
    output: 'infos',
    run: async ({ service, actor }) => ({ kind: 'infos', pages: service.drives.activity(actor) }),
  },
  infoCommand('/drives/:drive/info', 'brief', 'Drive info.'),
  infoCommand(
    '/drives/:drive/info/full',
    'full',
    'Drive info, with the percentage while imaging, who holds the drive and its limits.',
  ),
  {
    ...CHANGE,
    path: '/drives/create',
    summary: 'Creates a drive that reads as zeros.',
    input: CREATE_DRIVE,
    output: 'info',
    run: createDrive,
  },
  {
    ...CHANGE,
    path: '/drives/:drive/set',
    summary: 'Changes what is given of a drive.',
    input: SET_DRIVE,
    output: 'info',
    run: async (call) => {
      const driveId = driveParam(call);
      const input = parseSetDrive(call.fields);
      return { kind: 'info', info: await call.service.drives.set(call.actor, driveId, input) };
    },
  },
  {
    ...CHANGE,
    path: '/drives/:drive/destroy',
    summary: 'Destroys a drive and the key of its data.',
    output: 'nothing',
    run: async (call) => {
      await call.service.drives.destroy(call.actor, driveParam(call));
      return { kind: 'nothing' };
    },
  },
  ...CONVERSIONS.map(imageCommand),
];

function listCommand(path: string, scope: 'own' | 'standard', summary: string): Command {
  const run = async (call: CommandCall): Promise<Answer> => {
    const part = parseListPart(call.query, call.limits.listLimit);
    return { kind: 'values', key: 'drive', pages: call.service.drives.list(call.actor, { scope, ...part }) };
  };
  return { ...QUERY, path, summary, parameters: LIST_PARAMETERS, output: 'values', run };
}

function infosCommand(
  path: string,
  { scope, detail }: { scope: 'own' | 'standard'; detail: 'brief' | 'full' },
  summary: string,
): Command {
  const run = async (call: CommandCall): Promise<Answer> => {
    const part = parseListPart(call.query, call.limits.listLimit);
    return { kind: 'infos', pages: call.service.drives.infos(call.actor, { scope, ...part }, detail) };
  };
  return { ...QUERY, path, summary, parameters: LIST_PARAMETERS, output: 'infos', run };
}

function infoCommand(path: string, detail: 'brief' | 'full', summary: string): Command {
  const run = async (call: CommandCall): Promise<Answer> => {
    const info = await call.service.drives.info(call.actor, driveParam(call), detail);
    return { kind: 'info', info };
  };
  return { ...QUERY, path, summary, output: 'info', run };
}

async function createDrive(call: CommandCall): Promise<Answer> {
  const key = idempotencyKey(call.exchange.req.headers['idempotency-key']);
  const input = parseCreateDrive(call.fields);
  const bodyHash = createHash('sha256').update(call.bodyBytes).digest();
  const idempotency = key === null ? undefined : { key, bodyHash };
  return { kind: 'info', info: await call.service.drives.create(call.actor, input, idempotency) };
}

function idempotencyKey(header: string | string[] | undefined): string | null {
  if (header === undefined) return null;
  const limit = INPUT_LIMITS.idempotencyKeyCharacters;
  if (typeof header === 'string' && header.length <= limit && /^[!-~]+$/.test(header)) return header;
  throw usage(`The Idempotency-Key is not 1 to ${limit} printable ASCII characters.`);
}

function imageCommand(conversion: Conversion): Command {
  const run = async (call: CommandCall): Promise<Answer> => {
    const targetDriveId = driveParam(call);
    const sourceDriveId = driveParam(call, 'source');
    await call.service.drives.image(call.actor, { targetDriveId, sourceDriveId, conversion });
    return { kind: 'nothing' };
  };
  const isPlain = conversion === 'plain';
  return {
    ...CHANGE,
    path: `/drives/:drive/image/:source${isPlain ? '' : `/${conversion}`}`,
    summary: isPlain
      ? 'Copies a drive onto this one.'
      : `Copies a drive onto this one through ${conversion}.`,
    output: 'nothing',
    run,
  };
}
