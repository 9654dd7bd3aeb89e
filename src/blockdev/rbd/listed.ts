import { checkedRados } from './rados-error.ts';

/** What a call of librbd lists: asks again with more room for as long as the list turns out to be longer. */
export function listed<Result>(
  call: string,
  firstRoom: number,
  ask: (size: BigUint64Array) => { result: number; read: () => Result },
): Result {
  const size = new BigUint64Array([BigInt(firstRoom)]);
  for (;;) {
    const { result, read } = ask(size);
    if (checkedRados(call, result, 'ERANGE') >= 0) return read();
  }
}
