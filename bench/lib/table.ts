import { median, ratio } from './measure.ts';
import type { Row } from './measure.ts';

/** The rows as a Markdown table: medians, and the spread from the least to the most. */
export function formatTable(rows: readonly Row[]): string {
  const head = ['work', 'ours', 'peer', '', 'ratio', 'wanted', ''];
  const lines = rows.map((row) => [
    row.work,
    figure(row.ours, row.unit),
    row.peerName,
    figure(row.peer, row.unit),
    ratio(row).toFixed(2),
    row.target === null ? '' : `≥ ${row.target.toFixed(2)}`,
    row.target === null ? '' : ratio(row) >= row.target ? 'reached' : 'missed',
  ]);
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function figure(values: readonly number[], unit: string): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const spread = values.length === 1 ? '' : ` (${short(least)}–${short(most)})`;
  return `${short(median(values))} ${unit}${spread}`;
}

function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
