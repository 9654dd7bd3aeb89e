import { DriveError } from '../core/errors.ts';
import type { User } from '../core/user.ts';
import { authenticate } from './authenticate.ts';
import { cancelMove } from './cancel-move.ts';
import { claimDrive } from './claim-drive.ts';
import { createDrive } from './create-drive.ts';
import { destroyDrive } from './destroy-drive.ts';
import { findAny, findReadable } from './drive-lookup.ts';
import { imageDrive } from './image-drive.ts';
import { listActivity } from './list-activity.ts';
import { listClaims } from './list-claims.ts';
import { listDriveIds, listDriveInfos, pagesOf } from './list-drives.ts';
import { listNodes } from './list-nodes.ts';
import { listPools } from './list-pools.ts';
import type { LoginThrottle } from './login-throttle.ts';
import { exportKey, rotateMasterKey } from './manage-keys.ts';
import { createUser, listUsers, rotateUserKey, setUser, showUser } from './manage-users.ts';
import { mapDrive } from './map-drive.ts';
import { moveDrive } from './move-drive.ts';
import { readDrive } from './read-drive.ts';
import { releaseDrive } from './release-drive.ts';
import { renewClaim } from './renew-claim.ts';
import { isClaimCurrent, resolveAttachment } from './resolve-attachment.ts';
import type {
  AdministrationService,
  ClaimService,
  DriveService,
  Info,
  MasterKeyService,
  Service,
} from './service.ts';
import type { ServiceContext } from './service-context.ts';
import { setDriveLimits } from './set-drive-limits.ts';
import { serveConnection } from './serve-connection.ts';
import { setDrive } from './set-drive.ts';
import { findAndShow, showDrives } from './show-drive.ts';
import { writeDrive } from './write-drive.ts';

/** Binds the use cases to what they work with. */
export function createService(context: ServiceContext, throttle: LoginThrottle): Service {
  return {
    access: { authenticate: (login) => authenticate(context, throttle, login) },
    drives: driveService(context),
    driveData: {
      read: (actor, driveId, request) => readDrive(context, actor, driveId, request),
      write: (actor, driveId, request) => writeDrive(context, actor, driveId, request),
      map: (actor, driveId, request) => mapDrive(context, actor, driveId, request),
    },
    claims: claimService(context),
    attachments: {
      serve: (attachment, transmission) => serveConnection(context, attachment, transmission),
      resolve: (secret) => resolveAttachment(context, secret),
      isCurrent: (claim) => isClaimCurrent(context, claim),
    },
    administration: administrationService(context),
    masterKeys: masterKeyService(context),
    health: { checkReady: () => checkReady(context) },
  };
}

function driveService(context: ServiceContext): DriveService {
  return {
    create: (actor, input, idempotency) => createDrive(context, actor, input, idempotency),
    set: (actor, driveId, input) => setDrive(context, actor, driveId, input),
    destroy: (actor, driveId) => destroyDrive(context, actor, driveId),
    image: (actor, request) => imageDrive(context, actor, request),
    async info(actor, driveId, detail) {
      await context.counters.flush();
      const find = () => findReadable(context.metadata.drives, actor.userId, driveId);
      return await findAndShow(context, driveId, { find, viewerId: actor.userId, detail });
    },
    list: (actor, input) => listDriveIds(context, actor, input),
    infos: (actor, input, detail) => listDriveInfos(context, actor, input, detail),
    activity: (actor) => listActivity(context, actor.userId),
  };
}

function claimService(context: ServiceContext): ClaimService {
  return {
    claim: (actor, driveId, input) => claimDrive(context, actor, driveId, input),
    release: (actor, driveId, input) => releaseDrive(context, actor, driveId, input),
    renew: (actor, driveId, input) => renewClaim(context, actor, driveId, input),
    list: (actor, driveId) => listClaims(context, actor, driveId),
  };
}

/** Which drives an administrator is shown. */
const OF_ALL_USERS = { userId: null, readerId: null, tag: null, state: 'ready', poolName: null } as const;

function administrationService(context: ServiceContext): AdministrationService {
  return {
    async createUser(actor, input) {
      requireAdmin(actor);
      return await createUser(context, input);
    },
    async setUser(actor, userId, input) {
      requireAdmin(actor);
      return await setUser(context, actor, userId, input);
    },
    async rotateUserKey(actor, userId) {
      requireAdmin(actor);
      return await rotateUserKey(context, userId);
    },
    async userInfo(actor, userId) {
      requireAdmin(actor);
      return await showUser(context, userId);
    },
    async *userInfos(actor) {
      requireAdmin(actor);
      yield* listUsers(context);
    },
    async poolInfos(actor) {
      requireAdmin(actor);
      return await listPools(context);
    },
    async nodeInfos(actor) {
      requireAdmin(actor);
      return await listNodes(context);
    },
    async setDriveLimits(actor, driveId, change) {
      requireAdmin(actor);
      return await setDriveLimits(context, driveId, change);
    },
    async moveDrive(actor, driveId, input) {
      requireAdmin(actor);
      return await moveDrive(context, driveId, input);
    },
    async cancelMove(actor, driveId) {
      requireAdmin(actor);
      return await cancelMove(context, driveId);
    },
    async driveInfo(actor, driveId) {
      requireAdmin(actor);
      await context.counters.flush();
      return await showAnyDrive(context, driveId);
    },
    async *driveInfos(actor, { after, limit }) {
      requireAdmin(actor);
      await context.counters.flush();
      for await (const page of pagesOf(context, { ...OF_ALL_USERS, after: after ?? null }, limit)) {
        yield await showDrives(context, page, { viewerId: null, detail: 'full' });
      }
    },
    async *activity(actor) {
      requireAdmin(actor);
      yield* listActivity(context, null);
    },
  };
}

async function showAnyDrive(context: ServiceContext, driveId: string): Promise<Info> {
  const find = () => findAny(context.metadata.drives, driveId);
  return await findAndShow(context, driveId, { find, viewerId: null, detail: 'full' });
}

function masterKeyService(context: ServiceContext): MasterKeyService {
  return {
    async exportKey(actor, driveId, request) {
      requireAdmin(actor);
      return await exportKey(context, driveId, request);
    },
    async rotate(actor) {
      requireAdmin(actor);
      return await rotateMasterKey(context);
    },
  };
}

async function checkReady({ node, metadata }: ServiceContext): Promise<void> {
  if (node.state !== 'up') throw new DriveError('system', 'This node is being stopped: ask another one.');
  await metadata.ping();
}

/** For anybody but an admin user, a command of the administration does not exist. */
function requireAdmin(actor: User): void {
  if (!actor.isAdmin) throw new DriveError('missing', 'This command could not be found.');
}
