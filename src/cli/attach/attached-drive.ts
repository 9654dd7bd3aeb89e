import type { NbdTarget } from './nbd-target.ts';
import type { QemuArguments } from './qemu-arguments.ts';
import type { RbdImage } from './rbd-image.ts';

/** A drive that a virtual machine is to use. */
export interface AttachedDrive {
  readonly driveId: string;
  readonly isReadOnly: boolean;
}

/** One that it uses by way of Drivebay. */
export interface NbdDrive extends AttachedDrive {
  readonly target: NbdTarget;
}

/** One that it uses in the Ceph cluster where it lies. */
export interface RbdDrive extends AttachedDrive {
  readonly image: RbdImage;
}

/** What a virtual machine is started with to use a drive, as each program takes it. */
export interface AttachForms {
  readonly uri: string;
  readonly qemu: QemuArguments;
  readonly libvirt: string;
}

/** How long a virtual machine's requests wait for a server that is away, before they fail. */
export const RECONNECT_SECONDS = 60;

const SERIAL_CHARACTERS = 20;
/** QEMU's names of block nodes have at most 31 characters. */
const NODE_ID_CHARACTERS = 22;

/** What the guest sees as the disk's serial number, under /dev/disk/by-id: as much of the UUID as a virtio disk takes. */
export function serialOf({ driveId }: AttachedDrive): string {
  return driveId.slice(0, SERIAL_CHARACTERS);
}

/** What QEMU calls the drive. */
export function nodeNameOf({ driveId }: AttachedDrive): string {
  return `drivebay-${driveId.replaceAll('-', '').slice(0, NODE_ID_CHARACTERS)}`;
}
