import type { DriveLimitsChange } from '../core/drive-limits.ts';
import type { ClaimDriveInput, RenewClaimInput } from '../service/service.ts';
import type { CommandFields } from './command-fields.ts';
import { parseInput } from './command-input.ts';
import type { InputSpec } from './command-input.ts';
import {
  choiceField,
  countField,
  flagField,
  numberField,
  optionalSizeField,
  uuidField,
} from './input-fields.ts';
import { INPUT_LIMITS } from './limits.ts';

const SERVER_FIELDS = { server: uuidField('UUID of the server.') };

const LEASE_FIELDS = {
  ...SERVER_FIELDS,
  lease: numberField(
    { min: 1, max: INPUT_LIMITS.leaseSeconds },
    'Seconds after which the claim ends unless it is renewed.',
  ),
};

const CLAIM_FIELDS = {
  ...LEASE_FIELDS,
  access: choiceField(['rw', 'ro'], 'Whether the server may write; rw by default.'),
  protocol: choiceField(
    ['nbd', 'rbd'],
    'How the server reaches the drive: nbd, by way of Drivebay and the default, or rbd, in the Ceph cluster where it lies.',
  ),
  takeover: flagField('Whether to take an exclusive drive from the server that holds it; false by default.'),
};

const RENEW_FIELDS = {
  ...LEASE_FIELDS,
  epoch: numberField({ min: 1, max: Number.MAX_SAFE_INTEGER }, "The claim's epoch."),
};

const LIMIT_FIELDS = {
  iops: countField("Requests a second that the drive's servers may make; empty for no limit."),
  'iops:burst': countField(
    'Requests that may come at once after a pause; empty for as many as a second allows.',
  ),
  bytes: optionalSizeField("Bytes a second that the drive's servers may read and write; empty for no limit."),
  'bytes:burst': optionalSizeField(
    'Bytes that may come at once after a pause; empty for as many as a second allows.',
  ),
};

const COMMON = { hasAttributes: false, refused: {} };

export const CLAIM: InputSpec<typeof CLAIM_FIELDS> = {
  ...COMMON,
  required: ['server'],
  fields: CLAIM_FIELDS,
};
export const RELEASE: InputSpec<typeof SERVER_FIELDS> = {
  ...COMMON,
  required: ['server'],
  fields: SERVER_FIELDS,
};
export const RENEW: InputSpec<typeof RENEW_FIELDS> = {
  ...COMMON,
  required: ['server', 'epoch'],
  fields: RENEW_FIELDS,
};
export const DRIVE_LIMITS: InputSpec<typeof LIMIT_FIELDS> = { ...COMMON, required: [], fields: LIMIT_FIELDS };

export function parseClaim(fields: CommandFields): ClaimDriveInput {
  const { input } = parseInput(CLAIM, fields);
  return {
    // The spec requires a server.
    serverId: input.server ?? '',
    access: input.access,
    protocol: input.protocol,
    leaseSeconds: input.lease,
    takeover: input.takeover,
  };
}

export function parseRelease(fields: CommandFields): { serverId: string } {
  return { serverId: parseInput(RELEASE, fields).input.server ?? '' };
}

export function parseRenew(fields: CommandFields): RenewClaimInput {
  const { input } = parseInput(RENEW, fields);
  return { serverId: input.server ?? '', epoch: input.epoch ?? 0, leaseSeconds: input.lease };
}

export function parseDriveLimits(fields: CommandFields): DriveLimitsChange {
  const { input } = parseInput(DRIVE_LIMITS, fields);
  return {
    iops: input.iops,
    iopsBurst: input['iops:burst'],
    bytesPerSecond: input.bytes,
    burstBytes: input['bytes:burst'],
  };
}
