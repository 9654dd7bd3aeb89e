import type { CliIo } from '../cli-io.ts';
import type { DriveRates, Rate } from './activity-rates.ts';
import { topLines } from './top-table.ts';

/** Where tables go. */
export interface TopView {
  show(rates: readonly DriveRates[]): void;
  /** Says why there is no new table. */
  notice(sentence: string): void;
  /** Leaves the terminal as it was found. */
  end(): void;
}

const HOME = '\u001B[H';
const CLEAR_BELOW = '\u001B[J';
const CLEAR_LINE = '\u001B[2K';
const SAVE_CURSOR = '\u001B7';
const RESTORE_CURSOR = '\u001B8';
/** Without the cursor, and lines that are too long, as with wide characters, do not go on in the next one. */
const BEGIN = '\u001B[?25l\u001B[?7l';
const END = '\u001B[?7h\u001B[?25h';

/** On a terminal each table takes the place of the one before, elsewhere they follow each other; or JSON. */
export function openTopView(io: CliIo, { server, isJson }: { server: string; isJson: boolean }): TopView {
  if (isJson) return jsonView(io);
  return io.terminal() === null ? listView(io, server) : screenView(io, server);
}

function screenView(io: CliIo, server: string): TopView {
  let hasBegun = false;
  return {
    show(rates) {
      const { rows, columns } = io.terminal() ?? { rows: Infinity, columns: Infinity };
      const lines = topLines(server, rates, rows).map((line) => line.slice(0, columns));
      io.stdout.write(`${hasBegun ? '' : BEGIN}${HOME}${CLEAR_BELOW}${lines.join('\r\n')}`);
      hasBegun = true;
    },
    notice(sentence) {
      if (!hasBegun) return sayOnStderr(io, sentence);
      const { columns } = io.terminal() ?? { columns: Infinity };
      io.stdout.write(`${SAVE_CURSOR}${HOME}${CLEAR_LINE}${sentence.slice(0, columns)}${RESTORE_CURSOR}`);
    },
    end() {
      if (hasBegun) io.stdout.write(`\r\n${END}`);
    },
  };
}

function listView(io: CliIo, server: string): TopView {
  let hasBegun = false;
  return {
    show(rates) {
      io.stdout.write(`${hasBegun ? '\n' : ''}${topLines(server, rates).join('\n')}\n`);
      hasBegun = true;
    },
    notice: (sentence) => sayOnStderr(io, sentence),
    end: () => undefined,
  };
}

function jsonView(io: CliIo): TopView {
  return {
    show: (rates) => void io.stdout.write(`${JSON.stringify(rates.map(toJson))}\n`),
    notice: (sentence) => sayOnStderr(io, sentence),
    end: () => undefined,
  };
}

function sayOnStderr(io: CliIo, sentence: string): void {
  io.stderr.write(`drivebay: ${sentence}\n`);
}

function toJson({ drive, name, user, connections, read, write, flush }: DriveRates): object {
  return {
    drive,
    ...(name === null ? {} : { name }),
    ...(user === null ? {} : { user }),
    connections,
    read: rateJson(read),
    write: rateJson(write),
    flush: rateJson(flush),
  };
}

/** To the thousandth: what is behind that is noise. */
function rateJson({ requestsPerSecond, bytesPerSecond, latencyMs }: Rate): object {
  const rounded = (value: number): number => Math.round(value * 1000) / 1000;
  return {
    iops: rounded(requestsPerSecond),
    bytesPerSecond: rounded(bytesPerSecond),
    ms: latencyMs === null ? null : rounded(latencyMs),
  };
}
