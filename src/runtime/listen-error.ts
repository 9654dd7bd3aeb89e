import { existsSync } from 'node:fs';
import { dirname } from 'node:path';

/** Where a listener should be, and the flag that says so. */
export interface ListenPlace {
  /** HOST:PORT, or the path of a Unix socket. */
  readonly place: string;
  readonly flag: string;
}

/** Turns the failure of a listener into a sentence for the operator. */
export function listenError(cause: unknown, { place, flag }: ListenPlace): Error {
  const code = cause instanceof Error && 'code' in cause ? cause.code : null;
  const problem =
    code === 'EADDRINUSE'
      ? 'is in use by another program'
      : `cannot be listened on (${cause instanceof Error ? cause.message : String(cause)})`;
  return new Error(`${place} ${problem}: choose another with ${flag}.`, { cause });
}

/** What the kernel takes of a Unix socket's path: 108 bytes with the NUL at its end. */
const MOST_SOCKET_PATH_BYTES = 107;

/** Refuses paths for which libuv has errors that say something else. */
export function requireSocketPath(path: string, flag: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes > MOST_SOCKET_PATH_BYTES) {
    throw new Error(
      `The path of a Unix socket has at most ${MOST_SOCKET_PATH_BYTES} bytes, and ${path} has ${bytes}: choose another with ${flag}.`,
    );
  }
  if (!existsSync(dirname(path))) {
    throw new Error(`${dirname(path)} does not exist: make it, or choose another path with ${flag}.`);
  }
}
