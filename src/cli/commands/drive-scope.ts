import type { Nameable } from '../drive-names.ts';
import type { Session } from '../session.ts';

/** The user's own drives. */
export function ownDrives(session: Session): Nameable {
  return { noun: 'drive', list: () => session.api.infos() };
}

/** What the user may copy from by name: the own drives, and those that all users may read. */
export function readableDrives(session: Session): Nameable {
  return {
    noun: 'drive',
    async list() {
      const [own, standard] = await Promise.all([session.api.infos(), session.api.standardInfos()]);
      const ownIds = new Set(own.map((info) => info['drive']));
      return [...own, ...standard.filter((info) => !ownIds.has(info['drive']))];
    },
  };
}

/** Every user's drives, for administrators. */
export function allDrives(session: Session): Nameable {
  return { noun: 'drive', list: () => session.client.getInfos('/admin/drives/info') };
}

/** Users, for administrators. */
export function allUsers(session: Session): Nameable {
  return { noun: 'user', list: () => session.client.getInfos('/admin/users/info') };
}
