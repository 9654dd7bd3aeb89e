import type { Command } from 'commander';
import { bytesOf } from '../api/api-client.ts';
import type { CliIo } from '../cli-io.ts';
import { resolveName } from '../drive-names.ts';
import { printJson } from '../output/tables.ts';
import { addCommonOptions, withSession, type Session } from '../session.ts';
import { downloadToFile, downloadToStream } from '../transfer/download.ts';
import {
  openDeviceTarget,
  openFileTarget,
  targetKind,
  type SeekableTarget,
} from '../transfer/download-target.ts';
import {
  openOutputTarget,
  openPackedTarget,
  openPipeTarget,
  type StreamTarget,
} from '../transfer/stream-target.ts';
import { packingOf } from '../transfer/stream-source.ts';
import type { TransferContext, TransferTally } from '../transfer/transfer.ts';
import { readableDrives } from './drive-scope.ts';
import { DEFAULT_PARALLEL, runTransfer, transferJson } from './transfer-run.ts';
import type { TransferFlags } from './transfer-run.ts';
import { addTransferOptions } from './upload-command.ts';

interface DownloadFlags extends TransferFlags {
  readonly raw?: boolean;
}

const EXAMPLES = `
FILE may be a file, a block device or - for a pipe. FILE.gz and FILE.zst are packed on the way (--raw: written as it is).
Blocks of 4 MiB that are zero become holes in FILE. Every piece is checked against the SHA-256 that the server gives.
Until all is there the file is called FILE.drivebay-part; after an interruption the same command continues with what that
holds.

Examples:
  drivebay download web-1 web-1.img
  drivebay download web-1 web-1.img.zst
  drivebay download web-1 - | ssh host 'cat > web-1.img'`;

export function addDownloadCommand(program: Command, io: CliIo): void {
  const command = program.command('download').description('make a file equal to a drive');
  addTransferOptions(addCommonOptions(command))
    .argument('<drive>', 'UUID, name, or the start of the UUID')
    .argument('<file>', 'where to write; - for standard output')
    .option('--raw', 'do not pack into a .gz or .zst file')
    .addHelpText('after', EXAMPLES)
    .action((drive: string, file: string, flags: DownloadFlags) =>
      withSession(io, flags, (session) => downloadFrom(session, { drive, file }, flags), {
        connections: flags.parallel ?? DEFAULT_PARALLEL,
      }),
    );
}

async function downloadFrom(
  session: Session,
  request: { drive: string; file: string },
  flags: DownloadFlags,
): Promise<void> {
  const { file } = request;
  const kind = file === '-' ? 'pipe' : await targetKind(file);
  const named = await resolveName(request.drive, readableDrives(session));
  const driveBytes = bytesOf(named.info ?? (await session.api.info(named.id)), 'size');
  const packing = kind === 'file' && flags.raw !== true ? packingOf(file) : null;
  const isResumable = kind !== 'pipe' && packing === null;
  const job = { session, flags, driveId: named.id, driveBytes, verb: 'download', isResumable } as const;
  const tally = await runTransfer(job, async (context) => {
    if (packing !== null) return intoStream(context, await openPackedTarget(file, packing));
    if (file === '-') return intoStream(context, openOutputTarget(session.io.stdout, 'standard output'));
    if (kind === 'pipe') return intoStream(context, openPipeTarget(file));
    if (kind === 'device') return intoFile(context, await openDeviceTarget(file, driveBytes));
    return intoFile(context, await openFileTarget(file, driveBytes, session.io.nextDataBytes));
  });
  if (!session.isJson) return;
  // Standard output is taken by the data when that goes there.
  const { stdout, stderr } = session.io;
  printJson(file === '-' ? stderr : stdout, transferJson({ drive: named.id, file }, tally));
}

async function intoFile(context: TransferContext, target: SeekableTarget): Promise<TransferTally> {
  try {
    return await downloadToFile(context, target);
  } finally {
    await target.close();
  }
}

async function intoStream(context: TransferContext, target: StreamTarget): Promise<TransferTally> {
  try {
    return await downloadToStream(context, target);
  } finally {
    await target.close();
  }
}
