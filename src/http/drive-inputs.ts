import { MAX_DRIVE_BYTES } from '../core/sizes.ts';
import type { CreateDriveInput, SetDriveInput } from '../service/service.ts';
import type { CommandFields } from './command-fields.ts';
import { parseInput } from './command-input.ts';
import type { InputSpec } from './command-input.ts';
import { choiceField, sizeField, textField, uuidsField, wordsField } from './input-fields.ts';
import { INPUT_LIMITS } from './limits.ts';

const SETTABLE = {
  name: textField(
    INPUT_LIMITS.nameBytes,
    `A name for people, up to ${INPUT_LIMITS.nameBytes} bytes of UTF-8.`,
  ),
  size: sizeField('Bytes, or a number with suffix k, M, G or T in powers of 1024.', MAX_DRIVE_BYTES),
  'claim:type': choiceField(['exclusive', 'shared'], 'How many servers may hold the drive at once.'),
  readers: uuidsField(
    INPUT_LIMITS.readers,
    'UUIDs of the users who may read the drive; ffffffff-ffff-ffff-ffff-ffffffffffff for all users.',
  ),
  tags: wordsField(
    { maxItems: INPUT_LIMITS.tags, maxItemBytes: INPUT_LIMITS.tagBytes },
    'Words to find the drive by.',
  ),
  tier: choiceField(['disk', 'ssd'], 'The kind of hardware.'),
};

const CREATABLE = {
  ...SETTABLE,
  avoid: uuidsField(INPUT_LIMITS.avoid, "UUIDs of the user's drives to share no failure domain with."),
  'encryption:cipher': choiceField(['aes-xts-plain', 'none'], 'How the data is stored.'),
};

export const CREATE_DRIVE: InputSpec<typeof CREATABLE> = {
  fields: CREATABLE,
  required: ['size'],
  hasAttributes: true,
  refused: {},
};

export const SET_DRIVE: InputSpec<typeof SETTABLE> = {
  fields: SETTABLE,
  required: [],
  hasAttributes: true,
  refused: {
    'encryption:cipher': 'the cipher of a drive is chosen when it is created',
    avoid: 'the placement of a drive is chosen when it is created',
  },
};

export function parseCreateDrive(fields: CommandFields): CreateDriveInput {
  const { input, attributes } = parseInput(CREATE_DRIVE, fields);
  return {
    name: input.name === '' ? undefined : input.name,
    // The spec requires a size; the service refuses 0.
    sizeBytes: input.size ?? 0,
    claimType: input['claim:type'],
    readers: input.readers,
    tags: input.tags,
    attributes: Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== '')),
    avoid: input.avoid,
    cipher: input['encryption:cipher'],
    tier: input.tier,
  };
}

export function parseSetDrive(fields: CommandFields): SetDriveInput {
  const { input, attributes } = parseInput(SET_DRIVE, fields);
  return {
    name: input.name,
    // One client always sends `size 0` and means no change.
    sizeBytes: input.size === 0 ? undefined : input.size,
    claimType: input['claim:type'],
    readers: input.readers,
    tags: input.tags,
    attributes,
    tier: input.tier,
  };
}
