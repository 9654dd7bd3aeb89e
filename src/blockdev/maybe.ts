import type { Maybe } from './block-device.ts';

/** Goes on with the value: at once when it is there, later when it is a promise. */
export function chain<Value, Next>(value: Maybe<Value>, step: (value: Value) => Maybe<Next>): Maybe<Next> {
  return value instanceof Promise ? value.then(step) : step(value);
}

/** Runs the work, and `cleanup` when it has ended in whichever way; both have ended when this has. */
export function ensuring<Value>(work: () => Maybe<Value>, cleanup: () => Maybe<void>): Maybe<Value> {
  let result: Maybe<Value>;
  try {
    result = work();
  } catch (error) {
    return chain(cleanup(), () => {
      throw error;
    });
  }
  if (result instanceof Promise) return result.finally(cleanup);
  const value = result;
  return chain(cleanup(), () => value);
}

/** Runs the work; when it fails, `rescue` is run and the same error is thrown afterwards. */
export function rescued<Value>(
  work: () => Maybe<Value>,
  rescue: (error: unknown) => Maybe<void>,
): Maybe<Value> {
  const fail = (error: unknown): Maybe<never> =>
    chain(rescue(error), () => {
      throw error;
    });
  try {
    const result = work();
    return result instanceof Promise ? result.catch(fail) : result;
  } catch (error) {
    return fail(error);
  }
}

/** Does one step after the other until one answers false; a loop that waits only where there is something to wait for. */
export function repeat(step: () => Maybe<boolean>): Maybe<void> {
  for (;;) {
    const goesOn = step();
    if (goesOn instanceof Promise) return repeatLater(goesOn, step);
    if (!goesOn) return undefined;
  }
}

async function repeatLater(first: Promise<boolean>, step: () => Maybe<boolean>): Promise<void> {
  let goesOn = await first;
  while (goesOn) goesOn = await step();
}

/** Works on one item after the other. */
export function eachInOrder<Item>(items: readonly Item[], work: (item: Item) => Maybe<void>): Maybe<void> {
  const left = items.values();
  return repeat(() => {
    const { done, value } = left.next();
    return done === true ? false : chain(work(value), () => true);
  });
}

/** Works through a range in pieces of at most `pieceBytes`, one after the other; offsets count from the range's start. */
export function inPieces(
  { lengthBytes, pieceBytes }: { lengthBytes: number; pieceBytes: number },
  work: (offsetBytes: number, lengthBytes: number) => Maybe<void>,
): Maybe<void> {
  if (lengthBytes <= pieceBytes) return lengthBytes === 0 ? undefined : work(0, lengthBytes);
  let next = 0;
  return repeat(() => {
    const offsetBytes = next;
    next += pieceBytes;
    const done = work(offsetBytes, Math.min(pieceBytes, lengthBytes - offsetBytes));
    return chain(done, () => next < lengthBytes);
  });
}
