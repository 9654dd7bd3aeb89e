import { GIB, isSizeText, MIB, parseSizeBytes } from '../../core/sizes.ts';
import { InvalidArgumentError } from 'commander';

/** Reads `10G` on the command line. */
export function sizeArgument(text: string): number {
  const sizeBytes = parseSizeBytes(text);
  if (sizeBytes !== null) return sizeBytes;
  if (isSizeText(text)) {
    throw new InvalidArgumentError(`It is too large: the largest size is ${Number.MAX_SAFE_INTEGER}.`);
  }
  throw new InvalidArgumentError('A size is bytes, or a whole number followed by K, M, G or T.');
}

/** Collects an option that may be given several times. */
export function collectArgument(text: string, collected: readonly string[] | undefined): readonly string[] {
  return [...(collected ?? []), text];
}

/** Reads a number from 1 to `most` on the command line. */
export function countArgument(most: number): (text: string) => number {
  return (text) => {
    const count = Number(text);
    if (/^[0-9]+$/.test(text) && count >= 1 && count <= most) return count;
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${most}.`);
  };
}

/** Reads a time in seconds on the command line. */
export function secondsArgument({ least, most }: { least: number; most: number }): (text: string) => number {
  return (text) => {
    const seconds = Number(text);
    if (/^[0-9]+(\.[0-9]+)?$/.test(text) && seconds >= least && seconds <= most) return seconds;
    throw new InvalidArgumentError(`It must be a number of seconds from ${least} to ${most}.`);
  };
}

/** GiB with two decimals; something tiny is not shown as nothing. */
export function gibText(sizeBytes: number): string {
  const text = (sizeBytes / GIB).toFixed(2);
  return text === '0.00' && sizeBytes > 0 ? '<0.01' : text;
}

/** For sentences: in the largest unit that leaves a number of at least one. */
export function sizeText(sizeBytes: number): string {
  if (sizeBytes >= GIB) return `${(sizeBytes / GIB).toFixed(2)} GiB`;
  if (sizeBytes >= MIB) return `${(sizeBytes / MIB).toFixed(1)} MiB`;
  return `${sizeBytes} bytes`;
}

export function rateText(bytes: number, elapsedMs: number): string {
  return `${(bytes / MIB / Math.max(elapsedMs / 1000, 0.001)).toFixed(0)} MiB/s`;
}

export function durationText(elapsedMs: number): string {
  const seconds = Math.round(elapsedMs / 1000);
  if (seconds < 60) return `${(elapsedMs / 1000).toFixed(1)} s`;
  const clock = `${Math.floor(seconds / 60) % 60}:${String(seconds % 60).padStart(2, '0')}`;
  return seconds < 3600 ? `${clock} min` : `${Math.floor(seconds / 3600)}:${clock.padStart(5, '0')} h`;
}
