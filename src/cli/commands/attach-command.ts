import { randomUUID } from 'node:crypto';
import { Option, type Command } from 'commander';
import { textOf, type Fields, type Info } from '../api/api-client.ts';
import type { AttachForms } from '../attach/attached-drive.ts';
import { libvirtDisk } from '../attach/libvirt-disk.ts';
import { parseNbdUri } from '../attach/nbd-target.ts';
import { qemuArguments, qemuLines } from '../attach/qemu-arguments.ts';
import { readRbdImage, rbdUri } from '../attach/rbd-image.ts';
import { rbdLibvirtDisk } from '../attach/rbd-libvirt.ts';
import { rbdQemuArguments } from '../attach/rbd-qemu.ts';
import { CliError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { resolveName } from '../drive-names.ts';
import { countArgument } from '../output/size-text.ts';
import { printInfos, printJson } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags, type Session } from '../session.ts';
import { claimByRbd } from './attach-rbd.ts';
import { ownDrives } from './drive-scope.ts';
import { serverArgument } from './server-argument.ts';

type Via = 'tcp' | 'unix';

interface AttachFlags extends CommonFlags {
  readonly server?: string;
  readonly readOnly?: boolean;
  readonly lease?: number;
  readonly takeover?: boolean;
  readonly via?: Via;
  readonly rbd?: boolean;
  readonly cephUser: string;
  readonly secretFile?: string;
  readonly qemu?: boolean;
  readonly libvirt?: boolean;
  readonly uri?: boolean;
}

const MAX_LEASE_SECONDS = 86_400;
/** What Ceph's manual calls the user of virtual machines. */
const CEPH_USER = 'libvirt';

const EXAMPLES = `
Claims the drive for a server, a virtual or real machine that is named by a UUID, and prints what to start it with. What is
printed opens the drive until it is detached, or attached again by the same server.

With --rbd the server reaches a drive in Ceph there, as a Ceph user of its own, past Drivebay; an encrypted drive's
passphrase goes to --secret-file, and only administrators get it.

Examples:
  drivebay attach web-1
  drivebay attach web-1 --server 7c0a4be5-8f0e-4c83-9c55-0a4d1f0c8d11 --libvirt
  drivebay attach web-1 --rbd --secret-file web-1.key --qemu
  nbdcopy "$(drivebay attach web-1 --read-only --lease 3600 --uri)" web-1.img`;

export function addAttachCommand(program: Command, io: CliIo): void {
  addCommonOptions(
    program.command('attach').description('claim a drive for a server, and print what to start it with'),
  )
    .argument('<drive>', 'UUID, name, or the start of the UUID')
    .option('--server <uuid>', 'the server; a new UUID when not given', serverArgument)
    .option('--read-only', 'the server may only read')
    .option('--lease <seconds>', 'end the claim after so long', countArgument(MAX_LEASE_SECONDS))
    .option('--takeover', 'take it from a server that holds it; that one is cut off')
    .addOption(
      new Option('--via <listener>', 'how to connect; tcp where there is both')
        .choices(['tcp', 'unix'])
        .conflicts(['rbd']),
    )
    .option('--rbd', 'reach the drive in Ceph, past Drivebay')
    .option('--ceph-user <name>', 'with --rbd: the Ceph user of the server', CEPH_USER)
    .option('--secret-file <file>', "with --rbd: write an encrypted drive's passphrase there")
    .addOption(new Option('--qemu', 'print only the arguments for QEMU').conflicts(['libvirt', 'uri']))
    .addOption(new Option('--libvirt', 'print only the disk element for libvirt').conflicts(['uri']))
    .option('--uri', 'print only the URI')
    .addHelpText('after', EXAMPLES)
    .action((drive: string, flags: AttachFlags) =>
      withSession(io, flags, (session) => attach(session, drive, flags)),
    );
}

/** What attaching has come to. */
interface Attached {
  readonly claim: Info;
  readonly forms: AttachForms;
}

async function attach(session: Session, name: string, flags: AttachFlags): Promise<void> {
  const { id: driveId } = await resolveName(name, ownDrives(session));
  const serverId = flags.server ?? randomUUID();
  const attaching = flags.rbd === true ? attachByRbd : attachByNbd;
  print(session, driveId, { ...(await attaching(session, { driveId, serverId, flags })), flags });
}

interface Attaching {
  readonly driveId: string;
  readonly serverId: string;
  readonly flags: AttachFlags;
}

async function attachByNbd(session: Session, { driveId, serverId, flags }: Attaching): Promise<Attached> {
  const claim = await session.api.claim(driveId, claimFields(serverId, flags));
  const uri = chooseUri(claim, flags.via);
  if (uri === null) {
    await session.api.release(driveId, serverId);
    throw noListener(claim, flags.via);
  }
  const drive = { driveId, target: parseNbdUri(uri), isReadOnly: flags.readOnly === true };
  return { claim, forms: { uri, qemu: qemuArguments(drive), libvirt: libvirtDisk(drive) } };
}

async function attachByRbd(session: Session, { driveId, serverId, flags }: Attaching): Promise<Attached> {
  const { claim, secretFile } = await claimByRbd(session, {
    driveId,
    serverId,
    fields: claimFields(serverId, flags),
    secretFile: flags.secretFile ?? null,
  });
  const image = readRbdImage(claim, { user: flags.cephUser, secretFile });
  if (image === null) {
    await session.api.release(driveId, serverId);
    throw new CliError('failed', 'the server does not say where the image is: it knows no claims by rbd');
  }
  const drive = { driveId, image, isReadOnly: flags.readOnly === true };
  return {
    claim,
    forms: { uri: rbdUri(image), qemu: rbdQemuArguments(drive), libvirt: rbdLibvirtDisk(drive) },
  };
}

function claimFields(serverId: string, flags: AttachFlags): Fields {
  return {
    server: serverId,
    access: flags.readOnly === true ? 'ro' : 'rw',
    ...(flags.lease === undefined ? {} : { lease: String(flags.lease) }),
    ...(flags.takeover === true ? { takeover: 'true' } : {}),
  };
}

function chooseUri(claim: Info, via: Via | undefined): string | null {
  if (via !== undefined) return textOf(claim, `attach:${via}`);
  return textOf(claim, 'attach:tcp') ?? textOf(claim, 'attach:unix');
}

/** There is nothing to connect to, so the claim is of no use to anybody. */
function noListener(claim: Info, via: Via | undefined): CliError {
  const other = via === undefined ? null : chooseUri(claim, undefined);
  const problem =
    other === null ? 'the server has no NBD listener' : `the server has no NBD listener of the kind ${via}`;
  const setting = { tcp: 'nbd_listen (HOST:PORT)', unix: 'nbd_socket (PATH)' };
  const settings = via === undefined ? `${setting.tcp} or ${setting.unix}` : setting[via];
  return new CliError(
    'refused',
    `${problem}: its setting ${settings} turns one on; the drive is released again`,
  );
}

function print(
  { io, isJson }: Session,
  driveId: string,
  { claim, forms: { uri, qemu, libvirt }, flags }: Attached & { readonly flags: AttachFlags },
): void {
  const { stdout } = io;
  const shown = Object.fromEntries(Object.entries(claim).filter(([key]) => !key.startsWith('attach:')));
  if (isJson) {
    const { object, ...parts } = qemu;
    printJson(stdout, { ...shown, uri, qemu: object === null ? parts : { object, ...parts }, libvirt });
  } else if (flags.uri === true) stdout.write(`${uri}\n`);
  else if (flags.qemu === true) stdout.write(`${qemuLines(qemu)}\n`);
  else if (flags.libvirt === true) stdout.write(`${libvirt}\n`);
  else {
    printInfos(stdout, [{ ...shown, uri }]);
    stdout.write(`\nQEMU:\n\n${qemuLines(qemu)}\n\nlibvirt:\n\n${libvirt}\n`);
  }
  if (!isJson && flags.server === undefined) {
    io.stderr.write(`to end it: drivebay detach ${driveId} --server ${textOf(claim, 'server')}\n`);
  }
}
