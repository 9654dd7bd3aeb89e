import { checkedRados } from './rados-error.ts';

/**
 * What a call of librbd lists: asks again with more room for as long as the list turns out to be longer.
 *
 * @param firstRooms how much is first asked for, of each text or table that the call fills; the call writes into `rooms` how much it needs
 */
export function listed<Result>(
  call: string,
  firstRooms: readonly number[],
  ask: (rooms: BigUint64Array) => { result: number; read: () => Result },
): Result {
  const rooms = BigUint64Array.from(firstRooms, BigInt);
  for (;;) {
    const { result, read } = ask(rooms);
    if (checkedRados(call, result, 'ERANGE') >= 0) return read();
  }
}
