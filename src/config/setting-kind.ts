import { resolve } from 'node:path';
import { parseSizeBytes } from '../core/sizes.ts';
import { isUuid } from '../core/uuid.ts';
import type { ListenAddress } from './listen-address.ts';
import { parseListenAddress } from './listen-address.ts';

/** Where a value was written, so that a relative path in it means what its writer saw. */
export interface ValueOrigin {
  readonly directory: string;
  /** Whether every user of the machine can read the value there, as they can a command line. */
  readonly isPublic: boolean;
}

/** What the text of a setting may be. Every source gives text: a file's `4` and a flag's `4` are the same. */
export interface SettingKind<Value> {
  /** Stands for the value in help texts, such as `PATH`; empty for a switch that is on when it is named. */
  readonly placeholder: string;
  /** Completes the sentence "must be …". */
  readonly mustBe: string;
  /** Null when the text is no such value. */
  parse(text: string, origin: ValueOrigin): Value | null;
}

export const pathKind: SettingKind<string> = {
  placeholder: 'PATH',
  mustBe: 'a path',
  parse: (text, origin) => {
    if (text === '' || text.includes('\0')) return null;
    return resolve(origin.directory, text);
  },
};

export const listenKind: SettingKind<ListenAddress> = {
  placeholder: 'HOST:PORT',
  mustBe: 'HOST:PORT, such as 127.0.0.1:8600 or [::1]:8600, with a port from 0 to 65535',
  parse: parseListenAddress,
};

export const switchKind: SettingKind<boolean> = {
  placeholder: '',
  mustBe: 'true or false',
  parse: (text) => (text === 'true' ? true : text === 'false' ? false : null),
};

export const uuidKind: SettingKind<string> = {
  placeholder: 'UUID',
  mustBe: 'a UUID in lower case',
  parse: (text) => (isUuid(text) ? text : null),
};

export const userKeyKind: SettingKind<string> = {
  placeholder: 'KEY',
  mustBe: '16 to 128 letters and digits',
  parse: (text) => (/^[A-Za-z0-9]{16,128}$/.test(text) ? text : null),
};

/** Any text but the empty one. */
export function textKind(placeholder: string): SettingKind<string> {
  return { placeholder, mustBe: 'a text that is not empty', parse: (text) => (text === '' ? null : text) };
}

export function choiceKind<const Choice extends string>(choices: readonly Choice[]): SettingKind<Choice> {
  return {
    placeholder: choices.join('|'),
    mustBe: `one of ${choices.join(', ')}`,
    parse: (text) => choices.find((choice) => choice === text) ?? null,
  };
}

export function integerKind(limits: { min: number; max: number }): SettingKind<number> {
  return {
    placeholder: 'NUMBER',
    mustBe: `a whole number from ${limits.min} to ${limits.max}`,
    parse: (text) => (/^[0-9]{1,15}$/.test(text) ? within(Number(text), limits) : null),
  };
}

/** Bytes, or with a suffix k, M, G or T. The limits are given in the same way, as the help shows them. */
export function sizeKind(limits: { min: string; max: string }): SettingKind<number> {
  const min = parseSizeBytes(limits.min) ?? 0;
  const max = parseSizeBytes(limits.max) ?? Number.MAX_SAFE_INTEGER;
  return {
    placeholder: 'SIZE',
    mustBe: `a size from ${limits.min} to ${limits.max}, in bytes or with a suffix k, M, G or T`,
    parse: (text) => {
      const sizeBytes = parseSizeBytes(text);
      return sizeBytes === null ? null : within(sizeBytes, { min, max });
    },
  };
}

function within(value: number, limits: { min: number; max: number }): number | null {
  return value >= limits.min && value <= limits.max ? value : null;
}
