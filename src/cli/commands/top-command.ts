import { Option, type Command } from 'commander';
import { CliError } from '../cli-error.ts';
import type { CliIo } from '../cli-io.ts';
import { countArgument, secondsArgument } from '../output/size-text.ts';
import { addCommonOptions, withSession, type CommonFlags, type Session } from '../session.ts';
import {
  inOrder,
  ratesBetween,
  TOP_ORDERS,
  type ActivityLook,
  type TopOrder,
} from '../top/activity-rates.ts';
import { openTopView, type TopView } from '../top/top-view.ts';

const MOST_TABLES = 1_000_000;
const INTERVALS = { least: 0.1, most: 3600 };

interface TopFlags extends CommonFlags {
  readonly all?: boolean;
  readonly interval: number;
  readonly count?: number;
  readonly sort: TopOrder;
}

const HELP = `
Shows drives with open connections and those used last: requests and MiB a second, and how many milliseconds a request
took in the mean, over each interval. A FLUSH is what makes earlier writes durable; a write by HTTP has its own in it.
--json prints an array a line, with iops, bytesPerSecond and ms for read, write and flush of each drive.

Examples:
  drivebay top
  drivebay top --all --sort latency
  drivebay top --interval 10 --count 6 > minute.txt
  drivebay top --count 1 --json`;

export function addTopCommand(program: Command, io: CliIo): void {
  addCommonOptions(program.command('top').description('watch how busy and how fast your drives are'))
    .option('--all', "every user's drives (administrators)")
    .option('--interval <seconds>', 'time between two looks', secondsArgument(INTERVALS), 2)
    .option('--count <n>', 'end after this many tables; without it, at Ctrl-C', countArgument(MOST_TABLES))
    .addOption(
      new Option('--sort <figure>', 'what is first: the most of this').choices(TOP_ORDERS).default('iops'),
    )
    .addHelpText('after', HELP)
    .action((flags: TopFlags) =>
      // Not answered at once is not answered: the next look comes soon, and the user is told.
      withSession(io, flags, (session) => top(session, flags), { isRetrying: false }),
    );
}

async function top(session: Session, flags: TopFlags): Promise<void> {
  const { io, client, url, isJson } = session;
  const interrupted = new AbortController();
  const stopListening = io.onInterrupt(() => {
    interrupted.abort();
    client.close();
  });
  const view = openTopView(io, { server: url.origin, isJson });
  try {
    await watch(session, flags, { view, signal: interrupted.signal });
  } catch (error) {
    // An interruption is how this is meant to end; it cuts a look that is under way.
    if (!interrupted.signal.aborted || !(error instanceof CliError)) throw error;
  } finally {
    stopListening();
    view.end();
  }
}

async function watch(
  session: Session,
  flags: TopFlags,
  { view, signal }: { view: TopView; signal: AbortSignal },
): Promise<void> {
  const { io } = session;
  let before = await look(session, flags);
  let isAway = false;
  // A reader such as `head` that has seen enough ends it too.
  for (let left = flags.count ?? Infinity; left > 0 && io.stdout.writable;) {
    await io.sleep(flags.interval * 1000, signal);
    if (signal.aborted) return;
    try {
      const after = await look(session, flags);
      view.show(inOrder(ratesBetween(before, after), flags.sort));
      before = after;
      isAway = false;
      left -= 1;
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error;
      if (!isAway) view.notice(`${error.message}; trying again`);
      isAway = true;
    }
  }
}

async function look(session: Session, flags: TopFlags): Promise<ActivityLook> {
  const infos = await session.api.activity(flags.all === true);
  return { atMs: session.io.nowMs(), infos };
}

/** A server that is being restarted, or cannot answer for the moment. */
function isPassing(error: unknown): error is CliError {
  return error instanceof CliError && ['unreachable', 'system'].includes(error.code);
}
