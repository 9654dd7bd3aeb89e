/** Stands for "all users" in a list of readers. */
export const ALL_USERS = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether the text is a UUID in the one form that Drivebay uses: lower case, with hyphens. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}
