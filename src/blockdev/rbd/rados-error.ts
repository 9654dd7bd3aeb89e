import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { systemError } from '../system-error.ts';

/** The codes of errors by their numbers. Of Node's two tables one lacks EDQUOT and the other ESHUTDOWN. */
const CODES: ReadonlyMap<number, string> = new Map([
  ...Object.entries(constants.errno).map(([code, number]): [number, string] => [number, code]),
  ...[...getSystemErrorMap()].map(([number, [code]]): [number, string] => [-number, code]),
]);

/**
 * The result of a call of librados or librbd: what it is when it is not negative, or one of the codes that the caller
 * expects.
 *
 * @throws the error of the operating system that it stands for
 */
export function checkedRados(call: string, result: number, ...expected: readonly string[]): number {
  if (result >= 0) return result;
  const code = CODES.get(-result) ?? 'EIO';
  if (expected.includes(code)) return result;
  throw systemError(code, call);
}
