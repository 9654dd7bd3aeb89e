import { randomUUID } from 'node:crypto';
import { Option, type Command } from 'commander';
import { bytesOf, textOf, type Info } from '../api/api-client.ts';
import { usageError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { resolveName } from '../drive-names.ts';
import { countArgument, sizeText } from '../output/size-text.ts';
import { addCommonOptions, withSession, type Session } from '../session.ts';
import { openFileSource } from '../transfer/file-source.ts';
import type { GzipMode } from '../transfer/piece-encoder.ts';
import { openPackedSource, openStreamSource, packingOf } from '../transfer/stream-source.ts';
import { upload } from '../transfer/upload.ts';
import type { UploadSource } from '../transfer/upload-source.ts';
import { addCreateOptions, createFields, type CreateFlags } from './drive-fields.ts';
import { ownDrives } from './drive-scope.ts';
import { DEFAULT_PARALLEL, MOST_PARALLEL, printTransferJson, runTransfer } from './transfer-run.ts';
import type { TransferFlags } from './transfer-run.ts';

export interface UploadFlags extends TransferFlags, CreateFlags {
  readonly create?: boolean;
  readonly raw?: boolean;
  readonly gzip?: GzipMode;
}

const EXAMPLES = `
FILE may be a file, a block device or - for a pipe. FILE.gz and FILE.zst are unpacked on the way (--raw: sent as they are).
Afterwards the drive equals FILE, with zeros after its end. Only what differs is sent: what is zero on both sides is
skipped, and what the drive holds already is told by its hash, so after an interruption the same command continues.
Each piece is checked by the server against its SHA-256 before it is written.

Examples:
  drivebay upload debian.qcow2.raw web-1
  drivebay upload debian.img --create --name debian-12 --tag base
  drivebay upload backup.img.zst --create --size 20G
  pg_dump shop | drivebay upload - dumps`;

export function addUploadCommand(program: Command, io: CliIo): void {
  const command = program.command('upload').description('make a drive equal to a file');
  addTransferOptions(addCreateOptions(addCommonOptions(command)))
    .argument('<file>', 'what to upload; - for standard input')
    .argument('[drive]', 'UUID, name, or the start of the UUID')
    .option('--create', 'make a new drive for it, of its size unless --size is given; prints its UUID')
    .option('--raw', 'upload a .gz or .zst file as it is')
    .addOption(
      new Option('--gzip <when>', 'pack what is sent').choices(['auto', 'always', 'never']).default('auto'),
    )
    .addHelpText('after', EXAMPLES)
    .action((file: string, drive: string | undefined, flags: UploadFlags) =>
      runUpload(io, { file, drive }, flags),
    );
}

export function addTransferOptions(command: Command): Command {
  return command
    .option(
      '--parallel <count>',
      `pieces under way at once (default: ${DEFAULT_PARALLEL})`,
      countArgument(MOST_PARALLEL),
    )
    .option('--quiet', 'no progress and no summary');
}

/** Uploads onto a drive, or onto a new one. */
export async function runUpload(
  io: CliIo,
  request: { file: string; drive: string | undefined },
  flags: UploadFlags,
): Promise<void> {
  checkFlags(request.drive, flags);
  const source = await openSource(io, request.file, flags.raw === true);
  try {
    const work = (session: Session): Promise<void> => uploadTo(session, { ...request, source }, flags);
    await withSession(io, flags, work, { connections: flags.parallel ?? DEFAULT_PARALLEL });
  } finally {
    await source.close();
  }
}

function checkFlags(drive: string | undefined, flags: UploadFlags): void {
  if (flags.create === true && drive !== undefined) throw usageError('give a drive or --create, not both');
  if (flags.create !== true && drive === undefined)
    throw usageError('give a drive, or --create to make a new one');
  const ofNewDrives = [
    'name',
    'size',
    'cipher',
    'tier',
    'avoid',
    'tag',
    'reader',
    'claimType',
    'userPair',
  ] as const;
  const given = ofNewDrives.find((flag) => flags[flag] !== undefined);
  if (flags.create !== true && given !== undefined) {
    throw usageError(`--${given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} is for --create`);
  }
}

async function openSource(io: CliIo, file: string, isRaw: boolean): Promise<UploadSource> {
  if (file === '-') return openStreamSource('standard input', io.stdin);
  // Opened as a plain file also when it is packed: a file that is not there is told before anything else.
  const plain = await openFileSource(file, io.nextDataBytes);
  const packing = isRaw ? null : packingOf(file);
  if (packing === null) return plain;
  await plain.close();
  return openPackedSource(file, packing);
}

interface UploadRequest {
  readonly file: string;
  readonly drive: string | undefined;
  readonly source: UploadSource;
}

async function uploadTo(session: Session, request: UploadRequest, flags: UploadFlags): Promise<void> {
  const { file, drive, source } = request;
  const info =
    drive === undefined ? await createFor(session, source, flags) : await findDrive(session, drive);
  const driveId = textOf(info, 'drive') ?? '';
  const driveBytes = bytesOf(info, 'size');
  if (source.sizeBytes !== null && source.sizeBytes > driveBytes) {
    throw usageError(
      `${source.name} has ${source.sizeBytes} bytes (${sizeText(source.sizeBytes)}), but the drive has ${driveBytes} (${sizeText(driveBytes)})`,
    );
  }
  const isNewDrive = drive === undefined;
  const resumeCommand = isNewDrive ? `drivebay upload ${file} ${driveId}` : undefined;
  const job = {
    session,
    flags,
    driveId,
    driveBytes,
    verb: 'upload',
    isResumable: file !== '-',
    resumeCommand,
  } as const;
  const gzip = flags.gzip ?? 'auto';
  const tally = await runTransfer(job, (context) => upload(context, source, { gzip, isNewDrive }));
  if (session.isJson) printTransferJson(session.io, { drive: driveId, file }, tally);
  else if (isNewDrive) session.io.stdout.write(`${driveId}\n`);
}

async function findDrive(session: Session, drive: string): Promise<Info> {
  const named = await resolveName(drive, ownDrives(session));
  return named.info ?? session.api.info(named.id);
}

async function createFor(session: Session, source: UploadSource, flags: UploadFlags): Promise<Info> {
  const size = flags.size ?? source.sizeBytes;
  if (size === null) throw usageError(`the size of ${source.name} is not known before its end; give --size`);
  if (size === 0) throw usageError(`${source.name} is empty; a drive has at least one byte`);
  if (source.sizeBytes !== null && source.sizeBytes > size) {
    throw usageError(`${source.name} has ${source.sizeBytes} bytes, more than --size ${size}`);
  }
  return session.api.create(await createFields(session, { ...flags, size }), randomUUID());
}
