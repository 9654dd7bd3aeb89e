import type { Maybe } from './block-device.ts';

/** Goes on with the value: at once when it is there, later when it is a promise. */
export function chain<Value, Next>(value: Maybe<Value>, next: (value: Value) => Maybe<Next>): Maybe<Next> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** Runs the work, and `cleanup` when it has ended in whichever way. */
export function ensuring<Value>(work: () => Maybe<Value>, cleanup: () => void): Maybe<Value> {
  let result: Maybe<Value>;
  try {
    result = work();
  } catch (error) {
    cleanup();
    throw error;
  }
  if (result instanceof Promise) return result.finally(cleanup);
  cleanup();
  return result;
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
