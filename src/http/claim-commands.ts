import type { Info } from '../service/service.ts';
import { CLAIM, parseClaim, parseRelease, parseRenew, RELEASE, RENEW } from './claim-inputs.ts';
import type { Command } from './command.ts';
import { driveParam, NO_INPUT } from './drive-commands.ts';

const CHANGE = { method: 'POST', access: 'user', parameters: [] } as const;

/** Which servers may use a drive. */
export const CLAIM_COMMANDS: readonly Command[] = [
  {
    ...CHANGE,
    path: '/drives/:drive/claim',
    summary: 'Lets a server hold the drive, and answers with what it connects to.',
    input: CLAIM,
    output: 'info',
    run: async (call) => {
      const driveId = driveParam(call);
      const info = await call.service.claims.claim(call.actor, driveId, parseClaim(call.fields));
      return { kind: 'info', info };
    },
  },
  {
    ...CHANGE,
    path: '/drives/:drive/claim/renew',
    summary: "Begins the lease of a server's claim anew.",
    input: RENEW,
    output: 'info',
    run: async (call) => {
      const driveId = driveParam(call);
      const info = await call.service.claims.renew(call.actor, driveId, parseRenew(call.fields));
      return { kind: 'info', info };
    },
  },
  {
    ...CHANGE,
    path: '/drives/:drive/release',
    summary: "Ends a server's claim, if it has one.",
    input: RELEASE,
    output: 'nothing',
    run: async (call) => {
      const driveId = driveParam(call);
      await call.service.claims.release(call.actor, driveId, parseRelease(call.fields));
      return { kind: 'nothing' };
    },
  },
  {
    method: 'GET',
    access: 'user',
    parameters: [],
    path: '/drives/:drive/claims',
    summary: 'The servers that hold the drive.',
    input: NO_INPUT,
    output: 'infos',
    run: async (call) => {
      const infos = await call.service.claims.list(call.actor, driveParam(call));
      return { kind: 'infos', pages: onePage(infos) };
    },
  },
];

async function* onePage(infos: readonly Info[]): AsyncGenerator<readonly Info[]> {
  yield infos;
}
