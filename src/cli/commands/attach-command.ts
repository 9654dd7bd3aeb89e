import { randomUUID } from 'node:crypto';
import { Option, type Command } from 'commander';
import { textOf, type Fields, type Info } from '../api/api-client.ts';
import type { AttachedDrive } from '../attach/attached-drive.ts';
import { libvirtDisk } from '../attach/libvirt-disk.ts';
import { parseNbdUri } from '../attach/nbd-target.ts';
import { qemuArguments, qemuLines } from '../attach/qemu-arguments.ts';
import { CliError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { resolveName } from '../drive-names.ts';
import { countArgument } from '../output/size-text.ts';
import { printInfos, printJson } from '../output/tables.ts';
import { addCommonOptions, withSession, type CommonFlags, type Session } from '../session.ts';
import { ownDrives } from './drive-scope.ts';
import { serverArgument } from './server-argument.ts';

type Via = 'tcp' | 'unix';

interface AttachFlags extends CommonFlags {
  readonly server?: string;
  readonly readOnly?: boolean;
  readonly lease?: number;
  readonly takeover?: boolean;
  readonly via?: Via;
  readonly qemu?: boolean;
  readonly libvirt?: boolean;
  readonly uri?: boolean;
}

const MAX_LEASE_SECONDS = 86_400;

const EXAMPLES = `
Claims the drive for a server, a virtual or real machine that is named by a UUID, and prints what to start it with. What is
printed holds a secret that opens the drive until it is detached, or attached again by the same server.

Examples:
  drivebay attach web-1
  drivebay attach web-1 --server 7c0a4be5-8f0e-4c83-9c55-0a4d1f0c8d11 --libvirt
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
      new Option('--via <listener>', 'how to connect; tcp where there is both').choices(['tcp', 'unix']),
    )
    .addOption(new Option('--qemu', 'print only the arguments for QEMU').conflicts(['libvirt', 'uri']))
    .addOption(new Option('--libvirt', 'print only the disk element for libvirt').conflicts(['uri']))
    .option('--uri', 'print only the NBD URI')
    .addHelpText('after', EXAMPLES)
    .action((drive: string, flags: AttachFlags) =>
      withSession(io, flags, (session) => attach(session, drive, flags)),
    );
}

async function attach(session: Session, name: string, flags: AttachFlags): Promise<void> {
  const { id: driveId } = await resolveName(name, ownDrives(session));
  const serverId = flags.server ?? randomUUID();
  const claim = await session.api.claim(driveId, claimFields(serverId, flags));
  const uri = chooseUri(claim, flags.via);
  if (uri === null) {
    await session.api.release(driveId, serverId);
    throw noListener(claim, flags.via);
  }
  const target = parseNbdUri(uri);
  print(session, { driveId, target, isReadOnly: flags.readOnly === true }, { claim, flags });
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
  drive: AttachedDrive,
  { claim, flags }: { claim: Info; flags: AttachFlags },
): void {
  const { stdout } = io;
  const { uri } = drive.target;
  const qemu = qemuArguments(drive);
  const libvirt = libvirtDisk(drive);
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
    io.stderr.write(`to end it: drivebay detach ${drive.driveId} --server ${textOf(claim, 'server')}\n`);
  }
}
