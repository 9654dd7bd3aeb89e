import { MIB } from '../../core/sizes.ts';
import { tableLines, type Column } from '../output/tables.ts';
import type { DriveRates, Rate } from './activity-rates.ts';

/** Enough for what names tell apart; a longer one would push the figures off the screen. */
const NAME_CHARACTERS = 24;
const SHORT_ID_CHARACTERS = 8;
/** As wide as its figures get, so that columns stay where they are from one table to the next. */
const LATENCY_TITLE = '   ms';

/**
 * A line that sums it all up, then the titles, then a line for each drive.
 *
 * @param mostLines how many there may be; the drives that come last are left out
 */
export function topLines(
  server: string,
  rates: readonly DriveRates[],
  mostLines = Infinity,
): readonly string[] {
  const shown = rates.slice(0, Math.max(0, mostLines - 2));
  const table = tableLines(columnsFor(rates), shown);
  return [headLine(server, rates, shown.length), ...table].slice(0, Math.max(1, mostLines));
}

function headLine(server: string, rates: readonly DriveRates[], shown: number): string {
  const sum = (value: (each: DriveRates) => number): number =>
    rates.reduce((total, each) => total + value(each), 0);
  const done = (kind: 'read' | 'write'): string => {
    const requests = figure(sum((each) => each[kind].requestsPerSecond));
    return `${kind} ${requests}/s ${mibText(sum((each) => each[kind].bytesPerSecond))} MiB/s`;
  };
  const drives = `${counted(rates.length, 'drive')}${shown < rates.length ? ` (${shown} shown)` : ''}`;
  const connections = counted(
    sum((each) => each.connections),
    'connection',
  );
  const flush = `flush ${figure(sum((each) => each.flush.requestsPerSecond))}/s`;
  return [server, `${drives}, ${connections}`, done('read'), done('write'), flush].join('  ');
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function columnsFor(rates: readonly DriveRates[]): Column<DriveRates>[] {
  const idCharacters = distinctCharacters(rates.map(({ drive }) => drive));
  const columns: Column<DriveRates>[] = [
    { title: 'DRIVE', value: ({ drive }) => drive.slice(0, idCharacters) },
    { title: 'NAME', value: ({ name }) => clipped(name ?? '-') },
    { title: 'CONN', alignRight: true, value: ({ connections }) => String(connections) },
    ...rateColumns('READ/s', ({ read }) => read),
    ...rateColumns('WRITE/s', ({ write }) => write),
    requestColumn('FLUSH/s', ({ flush }) => flush),
    latencyColumn(({ flush }) => flush),
  ];
  const hasUsers = rates.some(({ user }) => user !== null);
  return hasUsers ? [...columns, { title: 'USER', value: ({ user }) => user ?? '-' }] : columns;
}

function rateColumns(title: string, rateOf: (rates: DriveRates) => Rate): Column<DriveRates>[] {
  const value = (rates: DriveRates): string => mibText(rateOf(rates).bytesPerSecond);
  return [requestColumn(title, rateOf), { title: 'MiB/s', alignRight: true, value }, latencyColumn(rateOf)];
}

function requestColumn(title: string, rateOf: (rates: DriveRates) => Rate): Column<DriveRates> {
  return { title, alignRight: true, value: (rates) => figure(rateOf(rates).requestsPerSecond) };
}

function latencyColumn(rateOf: (rates: DriveRates) => Rate): Column<DriveRates> {
  const value = (rates: DriveRates): string => {
    const { latencyMs } = rateOf(rates);
    return latencyMs === null ? '-' : figure(latencyMs);
  };
  return { title: LATENCY_TITLE, alignRight: true, value };
}

/** How many characters of these UUIDs tell them apart. */
function distinctCharacters(driveIds: readonly string[]): number {
  const longest = driveIds.reduce((length, id) => Math.max(length, id.length), SHORT_ID_CHARACTERS);
  for (let length = SHORT_ID_CHARACTERS; length < longest; length += 1) {
    if (new Set(driveIds.map((id) => id.slice(0, length))).size === driveIds.length) return length;
  }
  return longest;
}

function clipped(name: string): string {
  const characters = [...name];
  return characters.length <= NAME_CHARACTERS
    ? name
    : `${characters.slice(0, NAME_CHARACTERS - 1).join('')}…`;
}

function mibText(bytesPerSecond: number): string {
  return figure(bytesPerSecond / MIB);
}

/** Three digits or more; something tiny is not shown as nothing. */
function figure(value: number): string {
  if (value === 0) return '0';
  if (value < 0.005) return '<0.01';
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}
