import { describe, expect, test } from 'vitest';
import { DRIVE_TRANSITIONS, isPublic, mayRead } from './drive.ts';
import { ALL_USERS, isUuid } from './uuid.ts';

const OWNER = '11111111-1111-4111-8111-111111111111';
const READER = '22222222-2222-4222-8222-222222222222';
const STRANGER = '33333333-3333-4333-8333-333333333333';

describe('the life of a drive', () => {
  test('a drive is usable only between its creation and its destruction', () => {
    expect(DRIVE_TRANSITIONS.creating.created).toBe('ready');
    expect(DRIVE_TRANSITIONS.ready).toEqual({ created: null, abandoned: null, destroyed: 'destroying' });
  });

  test('nothing brings back a drive that is being destroyed', () => {
    expect(Object.values(DRIVE_TRANSITIONS.destroying)).not.toContain('ready');
    expect(Object.values(DRIVE_TRANSITIONS.destroying)).not.toContain('creating');
  });

  test('a drive that is half made can only be abandoned, never destroyed as if it had been there', () => {
    expect(DRIVE_TRANSITIONS.creating.destroyed).toBeNull();
    expect(DRIVE_TRANSITIONS.creating.abandoned).toBe('destroying');
  });
});

describe('who may read', () => {
  test('the owner and the readers, and nobody else', () => {
    const drive = { userId: OWNER, readers: [READER] };
    expect([OWNER, READER, STRANGER].map((userId) => mayRead(drive, userId))).toEqual([true, true, false]);
    expect(isPublic(drive)).toBe(false);
  });

  test('everybody when all users are among the readers', () => {
    const drive = { userId: OWNER, readers: [READER, ALL_USERS] };
    expect([mayRead(drive, STRANGER), isPublic(drive)]).toEqual([true, true]);
  });
});

test('a UUID has one form: lower case with hyphens', () => {
  expect(isUuid(OWNER)).toBe(true);
  const wrong = [
    OWNER.replaceAll('-', ''),
    `${OWNER} `,
    `{${OWNER}}`,
    'AAAAAAAA-1111-4111-8111-111111111111',
    '',
  ];
  expect(wrong.filter(isUuid)).toEqual([]);
});
