import type { Drive } from '../../src/core/drive.ts';
import type { User } from '../../src/core/user.ts';
import { createScratchService } from './scratch-service.ts';
import type { ScratchService } from './scratch-service.ts';

/** Two servers. */
export const A = '0000000a-0000-4000-8000-000000000000';
export const B = '0000000b-0000-4000-8000-000000000000';

/** A user's drive, which nobody holds. */
export interface ClaimScene {
  readonly scratch: ScratchService;
  readonly owner: User;
  readonly drive: Drive;
}

export async function createClaimScene(): Promise<ClaimScene> {
  const scratch = await createScratchService();
  const owner = await scratch.addUser();
  return { scratch, owner, drive: await scratch.addDrive(owner) };
}
