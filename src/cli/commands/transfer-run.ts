import { CliError, FileError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { createProgress } from '../output/progress.ts';
import { durationText, rateText, sizeText } from '../output/size-text.ts';
import { printJson } from '../output/tables.ts';
import type { CommonFlags, Session } from '../session.ts';
import type { TransferContext, TransferTally } from '../transfer/transfer.ts';

export const DEFAULT_PARALLEL = 8;
export const MOST_PARALLEL = 64;

export interface TransferFlags extends CommonFlags {
  readonly parallel?: number;
  readonly quiet?: boolean;
}

/** What is moved, and what to say when it is cut short. */
export interface TransferJob {
  readonly session: Session;
  readonly flags: TransferFlags;
  readonly driveId: string;
  readonly driveBytes: number;
  readonly verb: 'upload' | 'download';
  /** Whether the same command again continues; a pipe begins anew. */
  readonly isResumable: boolean;
  /** What continues it, when that is not the same command again. */
  readonly resumeCommand?: string | undefined;
}

/** Runs a transfer with its progress, its end by Ctrl-C, and its summary. */
export async function runTransfer(
  job: TransferJob,
  work: (context: TransferContext) => Promise<TransferTally>,
): Promise<TransferTally> {
  const { session, flags } = job;
  const { io } = session;
  const interruption = { hasHappened: false };
  const stopListening = io.onInterrupt(() => {
    interruption.hasHappened = true;
    session.client.close();
  });
  const startedMs = io.nowMs();
  try {
    const tally = await work({
      api: session.api,
      driveId: job.driveId,
      driveBytes: job.driveBytes,
      parallel: flags.parallel ?? DEFAULT_PARALLEL,
      progress: createProgress(io, job.verb, flags.quiet === true),
      interruption,
      nextDataBytes: io.nextDataBytes,
      sha256InThread: io.sha256InThread,
      preferHugePages: io.preferHugePages,
      nowMs: () => io.nowMs(),
      sleep: (delayMs, signal) => io.sleep(delayMs, signal),
    });
    if (interruption.hasHappened) throw interrupted(job);
    if (flags.quiet !== true && !session.isJson)
      io.stderr.write(`${summary(job, tally, io.nowMs() - startedMs)}\n`);
    return tally;
  } catch (error) {
    if (interruption.hasHappened) throw interrupted(job, error);
    throw error instanceof CliError ? withResumeHint(job, error) : error;
  } finally {
    stopListening();
  }
}

export function printTransferJson(
  io: CliIo,
  facts: Readonly<Record<string, unknown>>,
  tally: TransferTally,
): void {
  printJson(io.stdout, transferJson(facts, tally));
}

/** The figures of a transfer, in bytes. */
export function transferJson(facts: Readonly<Record<string, unknown>>, tally: TransferTally): object {
  return {
    ...facts,
    size: tally.totalBytes,
    moved: tally.movedBytes,
    wire: tally.wireBytes,
    zero: tally.zeroBytes,
    cleared: tally.clearedBytes,
    unchanged: tally.unchangedBytes,
    unchecked: tally.uncheckedBytes,
  };
}

function interrupted(job: TransferJob, cause?: unknown): CliError {
  const hint = job.isResumable ? `; ${resumeText(job)}` : '';
  return new CliError('interrupted', `interrupted${hint}`, cause);
}

function withResumeHint(job: TransferJob, error: CliError): CliError {
  if (error instanceof FileError) return withFileHint(job, error);
  const mayContinue = job.isResumable && ['unreachable', 'system', 'failed'].includes(error.code);
  if (!mayContinue && job.resumeCommand === undefined) return error;
  return new CliError(error.code, `${error.message}; ${resumeText(job)}`, error);
}

/** What is wrong with a file stays so until somebody mends it. */
function withFileHint(job: TransferJob, error: FileError): CliError {
  const isContinued = job.verb === 'download' && error.isFull && job.isResumable;
  const isNewDrive = job.resumeCommand !== undefined;
  if (!isContinued && !isNewDrive) return error;
  const hint = isNewDrive ? `the new drive is ${job.driveId}` : `with more room there ${resumeText(job)}`;
  return new CliError(error.code, `${error.message}; ${hint}`, error);
}

function resumeText(job: TransferJob): string {
  return job.resumeCommand === undefined
    ? 'the same command again continues where it stopped'
    : `this continues where it stopped: ${job.resumeCommand}`;
}

function summary(job: TransferJob, tally: TransferTally, elapsedMs: number): string {
  const parts = [`${sizeText(tally.movedBytes)} ${job.verb === 'upload' ? 'sent' : 'received'}`];
  if (tally.wireBytes < tally.movedBytes * 0.99) parts[0] += ` as ${sizeText(tally.wireBytes)}`;
  if (tally.zeroBytes > 0) parts.push(`${sizeText(tally.zeroBytes)} zero`);
  if (tally.clearedBytes > 0) parts.push(`${sizeText(tally.clearedBytes)} cleared`);
  if (tally.unchangedBytes > 0) parts.push(`${sizeText(tally.unchangedBytes)} unchanged`);
  if (tally.uncheckedBytes > 0)
    parts.push(`${sizeText(tally.uncheckedBytes)} not verified, for want of a digest`);
  const pace = `${durationText(elapsedMs)} (${rateText(tally.totalBytes, elapsedMs)})`;
  return `${job.verb}ed ${sizeText(tally.totalBytes)} in ${pace}: ${parts.join(', ')}`;
}
