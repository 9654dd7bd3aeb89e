import koffi from 'koffi';
import { getSystemErrorName } from 'node:util';

/** Memory at a plain address of this process, which the caller keeps alive. */
export interface MemorySpan {
  readonly address: number;
  readonly lengthBytes: number;
}

/**
 * The system calls on sockets that Node keeps to itself, for threads that serve sockets without an event loop. None of
 * them waits but `epollWait`.
 */
export interface SocketCalls {
  /** A second descriptor of the same socket, which stays valid when the first one is closed. Throws the system's error. */
  duplicate(descriptor: number): number;
  close(descriptor: number): void;
  /** Takes no more and sends no more; the other end sees the end of the stream. */
  shutdown(descriptor: number): void;
  /** Bytes received; 0 at the end of the stream; `WOULD_BLOCK`, or `FAILED` when the connection is broken. */
  receive(descriptor: number, into: MemorySpan): number;
  /** Bytes that the socket took, `WOULD_BLOCK` or `FAILED`. `hasMore`: the rest of the packet follows at once. */
  send(descriptor: number, from: MemorySpan, hasMore: boolean): number;
  /** Two connected stream sockets of this machine. */
  newPair(): readonly [number, number];
  /** A descriptor that becomes readable when somebody signals it. */
  newSignal(): number;
  signal(descriptor: number): void;
  clearSignal(descriptor: number): void;
  newEpoll(): number;
  /** Watches a descriptor for `interest`, or forgets it when that is 0. */
  watch(epoll: number, descriptor: number, change: WatchChange): void;
  /** Waits for at most this long (-1: for ever) and returns the number of events that it wrote into `events`. */
  epollWait(epoll: number, events: MemorySpan, timeoutMs: number): number;
}

export interface WatchChange {
  readonly operation: 'add' | 'modify' | 'remove';
  /** Of `READABLE`, `WRITABLE` and `ONCE_EACH`. */
  readonly interest: number;
}

export const WOULD_BLOCK = -1;
export const FAILED = -2;

// From sys/epoll.h, sys/socket.h and sys/eventfd.h of Linux.
export const READABLE = 0x001;
export const WRITABLE = 0x004;
/** With others: is told once, and again only when more has come. */
export const ONCE_EACH = 0x8000_0000;
/** Bytes of one `struct epoll_event`, which is packed on x86-64: the events, then the caller's 64 bits. */
export const EPOLL_EVENT_BYTES = process.arch === 'x64' ? 12 : 16;
export const EPOLL_DATA_OFFSET = EPOLL_EVENT_BYTES - 8;
const OPERATIONS = { add: 1, remove: 2, modify: 3 } as const;
const EPOLL_CLOEXEC = 0x80000;
const EFD_CLOEXEC_NONBLOCK = 0x80800;
const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC_NONBLOCK = 0x80801;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_MORE = 0x8000;
const SHUT_RDWR = 2;
const F_DUPFD_CLOEXEC = 1030;

const WAITING: ReadonlySet<string> = new Set(['EAGAIN', 'EWOULDBLOCK', 'EINTR']);

/** Binds the calls of the C library of this process. */
export function loadSocketCalls(): SocketCalls {
  const calls = bindCalls();
  const event = new Uint8Array(EPOLL_EVENT_BYTES);
  const eventView = new DataView(event.buffer);
  const word = new BigUint64Array(1);
  const outcome = (result: number): number => {
    if (result >= 0) return result;
    return WAITING.has(lastErrorCode()) ? WOULD_BLOCK : FAILED;
  };
  return {
    duplicate: (descriptor) => checked('fcntl', calls.fcntl(descriptor, F_DUPFD_CLOEXEC, 0)),
    close: (descriptor) => void calls.close(descriptor),
    shutdown: (descriptor) => void calls.shutdown(descriptor, SHUT_RDWR),
    receive: (descriptor, { address, lengthBytes }) =>
      outcome(calls.recv(descriptor, address, lengthBytes, MSG_DONTWAIT)),
    send: (descriptor, { address, lengthBytes }, hasMore) =>
      outcome(
        calls.send(descriptor, address, lengthBytes, MSG_DONTWAIT + MSG_NOSIGNAL + (hasMore ? MSG_MORE : 0)),
      ),
    newPair() {
      const pair = new Int32Array(2);
      checked('socketpair', calls.socketpair(AF_UNIX, SOCK_STREAM_CLOEXEC_NONBLOCK, 0, pair));
      const [one = -1, other = -1] = pair;
      return [one, other];
    },
    newSignal: () => checked('eventfd', calls.eventfd(0, EFD_CLOEXEC_NONBLOCK)),
    signal(descriptor) {
      word[0] = 1n;
      calls.write(descriptor, word, word.byteLength);
    },
    clearSignal: (descriptor) => void calls.read(descriptor, word, word.byteLength),
    newEpoll: () => checked('epoll_create1', calls.epollCreate(EPOLL_CLOEXEC)),
    watch(epoll, descriptor, { operation, interest }) {
      eventView.setUint32(0, interest, true);
      eventView.setUint32(EPOLL_DATA_OFFSET, descriptor, true);
      checked('epoll_ctl', calls.epollCtl(epoll, OPERATIONS[operation], descriptor, event));
    },
    epollWait: (epoll, { address, lengthBytes }, timeoutMs) =>
      Math.max(0, calls.epollWait(epoll, address, Math.floor(lengthBytes / EPOLL_EVENT_BYTES), timeoutMs)),
  };
}

type Call = (...args: readonly unknown[]) => number;

function bindCalls(): Readonly<Record<string, Call>> & {
  readonly [
    Name in
      | 'fcntl'
      | 'close'
      | 'shutdown'
      | 'recv'
      | 'send'
      | 'eventfd'
      | 'socketpair'
      | 'write'
      | 'read'
      | 'epollCreate'
      | 'epollCtl'
      | 'epollWait'
  ]: Call;
} {
  const lib = koffi.load(null);
  return {
    fcntl: lib.func('int fcntl(int, int, int)'),
    close: lib.func('int close(int)'),
    shutdown: lib.func('int shutdown(int, int)'),
    recv: lib.func('int64_t recv(int, uintptr_t, size_t, int)'),
    send: lib.func('int64_t send(int, uintptr_t, size_t, int)'),
    socketpair: lib.func('int socketpair(int, int, int, _Out_ int *)'),
    eventfd: lib.func('int eventfd(unsigned int, int)'),
    write: lib.func('int64_t write(int, void *, size_t)'),
    read: lib.func('int64_t read(int, void *, size_t)'),
    epollCreate: lib.func('int epoll_create1(int)'),
    epollCtl: lib.func('int epoll_ctl(int, int, int, void *)'),
    epollWait: lib.func('int epoll_wait(int, uintptr_t, int, int)'),
  };
}

function checked(syscall: string, result: number): number {
  if (result >= 0) return result;
  const code = lastErrorCode();
  throw Object.assign(new Error(`${code}: ${syscall} failed`), { code, syscall });
}

function lastErrorCode(): string {
  return getSystemErrorName(-koffi.errno());
}
