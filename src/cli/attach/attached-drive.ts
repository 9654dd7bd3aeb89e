import type { NbdTarget } from './nbd-target.ts';

/** A drive that a virtual machine is to use. */
export interface AttachedDrive {
  readonly driveId: string;
  readonly isReadOnly: boolean;
  readonly target: NbdTarget;
}

/** How long a virtual machine's requests wait for a server that is away, before they fail. */
export const RECONNECT_SECONDS = 60;

const SERIAL_CHARACTERS = 20;

/** What the guest sees as the disk's serial number, under /dev/disk/by-id: as much of the UUID as a virtio disk takes. */
export function serialOf({ driveId }: AttachedDrive): string {
  return driveId.slice(0, SERIAL_CHARACTERS);
}
