import { ADMIN_COMMANDS } from './admin-commands.ts';
import { CLAIM_COMMANDS } from './claim-commands.ts';
import type { Command } from './command.ts';
import { DATA_COMMANDS } from './data-commands.ts';
import { DRIVE_COMMANDS } from './drive-commands.ts';

/** Every command that needs credentials. */
export const API_COMMANDS: readonly Command[] = [
  ...DRIVE_COMMANDS,
  ...DATA_COMMANDS,
  ...CLAIM_COMMANDS,
  ...ADMIN_COMMANDS,
];
