import { DriveError } from '../core/errors.ts';
import { isUuid } from '../core/uuid.ts';
import type { Info } from '../service/service.ts';
import {
  CREATE_USER,
  EXPORT_KEY,
  MOVE_DRIVE,
  parseCreateUser,
  parseExportKey,
  parseMoveDrive,
  parseSetUser,
  SET_USER,
} from './admin-inputs.ts';
import type { Answer } from './answers.ts';
import { DRIVE_LIMITS, parseDriveLimits } from './claim-inputs.ts';
import type { Command, CommandCall } from './command.ts';
import { pathParam } from './command.ts';
import { driveParam, NO_INPUT } from './drive-commands.ts';
import { quoted } from './error-table.ts';
import { signalOfHangUp } from './exchange.ts';
import { PAGE_PARAMETERS, parseListPart } from './query.ts';

const QUERY = { method: 'GET', access: 'admin', parameters: [], input: NO_INPUT } as const;
const CHANGE = { method: 'POST', access: 'admin', parameters: [], input: NO_INPUT, output: 'info' } as const;

const USER_COMMANDS: readonly Command[] = [
  {
    ...CHANGE,
    path: '/admin/users/create',
    summary: 'Creates a user; the answer has its key, which is shown this once.',
    input: CREATE_USER,
    run: async ({ service, actor, fields }) =>
      info(await service.administration.createUser(actor, parseCreateUser(fields))),
  },
  {
    ...QUERY,
    path: '/admin/users/list',
    summary: 'The users, a UUID each.',
    output: 'values',
    run: async ({ service, actor }) => ({
      kind: 'values',
      key: 'user',
      pages: userIds(service.administration.userInfos(actor)),
    }),
  },
  {
    ...QUERY,
    path: '/admin/users/info',
    summary: 'User info of all users.',
    output: 'infos',
    run: async ({ service, actor }) => ({ kind: 'infos', pages: service.administration.userInfos(actor) }),
  },
  {
    ...QUERY,
    path: '/admin/users/:user/info',
    summary: 'User info.',
    output: 'info',
    run: async (call) => info(await call.service.administration.userInfo(call.actor, userParam(call))),
  },
  {
    ...CHANGE,
    path: '/admin/users/:user/set',
    summary: 'Changes what is given of a user.',
    input: SET_USER,
    run: async (call) => {
      const userId = userParam(call);
      return info(await call.service.administration.setUser(call.actor, userId, parseSetUser(call.fields)));
    },
  },
  {
    ...CHANGE,
    path: '/admin/users/:user/key/rotate',
    summary: 'Gives a user a new key, which is shown this once; the old one is dead.',
    run: async (call) => info(await call.service.administration.rotateUserKey(call.actor, userParam(call))),
  },
];

export const ADMIN_COMMANDS: readonly Command[] = [
  ...USER_COMMANDS,
  {
    ...QUERY,
    path: '/admin/pools/info',
    summary: 'The pools with their room and failure domain.',
    output: 'infos',
    run: async ({ service, actor }) => ({
      kind: 'infos',
      pages: onePage(await service.administration.poolInfos(actor)),
    }),
  },
  {
    ...QUERY,
    path: '/admin/nodes',
    summary: 'The nodes of the installation, and whether they are up.',
    output: 'infos',
    run: async ({ service, actor }) => ({
      kind: 'infos',
      pages: onePage(await service.administration.nodeInfos(actor)),
    }),
  },
  {
    ...QUERY,
    path: '/admin/drives/info',
    summary: "Drive info of every user's drives.",
    parameters: PAGE_PARAMETERS,
    output: 'infos',
    run: async ({ service, actor, query, limits }) => {
      const page = parseListPart(query, limits.listLimit);
      return { kind: 'infos', pages: service.administration.driveInfos(actor, page) };
    },
  },
  {
    ...QUERY,
    path: '/admin/drives/activity',
    summary: "What was done since the start to every user's drives that are connected or were used last.",
    output: 'infos',
    run: async ({ service, actor }) => ({ kind: 'infos', pages: service.administration.activity(actor) }),
  },
  {
    ...QUERY,
    path: '/admin/drives/:drive/info',
    summary: 'Drive info of any drive.',
    output: 'info',
    run: async (call) => info(await call.service.administration.driveInfo(call.actor, driveParam(call))),
  },
  {
    ...CHANGE,
    path: '/admin/drives/:drive/limits',
    summary: "Changes what is given of the limits of a drive's I/O.",
    input: DRIVE_LIMITS,
    run: async (call) => {
      const driveId = driveParam(call);
      const change = parseDriveLimits(call.fields);
      return info(await call.service.administration.setDriveLimits(call.actor, driveId, change));
    },
  },
  {
    ...CHANGE,
    path: '/admin/drives/:drive/move',
    summary: 'Moves a drive to another pool while it is used; the work is done behind the answer.',
    input: MOVE_DRIVE,
    run: async (call) => {
      const driveId = driveParam(call);
      return info(
        await call.service.administration.moveDrive(call.actor, driveId, parseMoveDrive(call.fields)),
      );
    },
  },
  {
    ...CHANGE,
    path: '/admin/drives/:drive/move/cancel',
    summary: "Ends a drive's move and leaves it where it was; nothing happens when there is none.",
    run: async (call) => info(await call.service.administration.cancelMove(call.actor, driveParam(call))),
  },
  {
    ...CHANGE,
    path: '/admin/drives/:drive/key/export',
    summary: "The passphrase that opens a drive's LUKS volume with any other tool.",
    input: EXPORT_KEY,
    run: async (call) => {
      const driveId = driveParam(call);
      const request = { ...parseExportKey(call.fields), signal: signalOfHangUp(call.exchange) };
      return info(await call.service.masterKeys.exportKey(call.actor, driveId, request));
    },
  },
  {
    ...CHANGE,
    path: '/admin/master-key/rotate',
    summary: "Wraps every drive's keys anew under a new master key.",
    run: async ({ service, actor }) => info(await service.masterKeys.rotate(actor)),
  },
];

function info(shown: Info): Answer {
  return { kind: 'info', info: shown };
}

function userParam(call: CommandCall): string {
  const userId = pathParam(call, 'user');
  if (!isUuid(userId)) throw new DriveError('missing', `User ${quoted(userId)} could not be found.`);
  return userId;
}

async function* userIds(pages: AsyncIterable<readonly Info[]>): AsyncGenerator<readonly string[]> {
  for await (const page of pages) yield page.map((user) => String(user['user']));
}

async function* onePage(infos: readonly Info[]): AsyncGenerator<readonly Info[]> {
  yield infos;
}
