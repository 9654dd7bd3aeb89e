import type { CreateUserInput, MoveDriveInput, SetUserInput } from '../service/service.ts';
import type { CommandFields } from './command-fields.ts';
import { parseInput } from './command-input.ts';
import type { InputSpec } from './command-input.ts';
import { choiceField, countField, flagField, optionalSizeField, textField } from './input-fields.ts';
import { INPUT_LIMITS } from './limits.ts';

const USER_FIELDS = {
  name: textField(
    INPUT_LIMITS.nameBytes,
    `A name for people, up to ${INPUT_LIMITS.nameBytes} bytes of UTF-8.`,
  ),
  admin: flagField('Whether the user may use the administration commands.'),
  'quota:drives': countField('The most drives that the user may own; empty for no limit.'),
  'quota:bytes': optionalSizeField(
    "The most bytes that the user's drives may add up to; empty for no limit.",
  ),
};

const SET_USER_FIELDS = {
  ...USER_FIELDS,
  disabled: flagField('Whether the user is locked out.'),
};

const EXPORT_FIELDS = {
  fill: flagField(
    'Whether what was never written is first filled with encrypted zeros, which other tools need; true by default.',
  ),
};

const MOVE_FIELDS = {
  pool: textField(INPUT_LIMITS.nameBytes, 'The name of the pool that the drive is to lie in.'),
  tier: choiceField(['disk', 'ssd'], 'The kind of hardware that the drive is on from then on.'),
};

const OPTIONAL = { required: [], hasAttributes: false, refused: {} };

export const CREATE_USER: InputSpec<typeof USER_FIELDS> = { ...OPTIONAL, fields: USER_FIELDS };
export const SET_USER: InputSpec<typeof SET_USER_FIELDS> = { ...OPTIONAL, fields: SET_USER_FIELDS };
export const EXPORT_KEY: InputSpec<typeof EXPORT_FIELDS> = { ...OPTIONAL, fields: EXPORT_FIELDS };

export const MOVE_DRIVE: InputSpec<typeof MOVE_FIELDS> = {
  ...OPTIONAL,
  fields: MOVE_FIELDS,
  required: ['pool'],
};

export function parseCreateUser(fields: CommandFields): CreateUserInput {
  const { input } = parseInput(CREATE_USER, fields);
  return {
    name: input.name === '' ? undefined : input.name,
    isAdmin: input.admin,
    quotaDrives: input['quota:drives'] ?? undefined,
    quotaBytes: input['quota:bytes'] ?? undefined,
  };
}

export function parseSetUser(fields: CommandFields): SetUserInput {
  const { input } = parseInput(SET_USER, fields);
  return {
    name: input.name === '' ? null : input.name,
    isAdmin: input.admin,
    isDisabled: input.disabled,
    quotaDrives: input['quota:drives'],
    quotaBytes: input['quota:bytes'],
  };
}

export function parseExportKey(fields: CommandFields): { fillHoles: boolean } {
  const { input } = parseInput(EXPORT_KEY, fields);
  return { fillHoles: input.fill ?? true };
}

export function parseMoveDrive(fields: CommandFields): MoveDriveInput {
  const { input } = parseInput(MOVE_DRIVE, fields);
  return { poolName: input.pool ?? '', tier: input.tier };
}
