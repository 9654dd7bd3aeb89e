import type { Readable, Writable } from 'node:stream';
import type { OpenTransport } from './api/transport.ts';

/** Everything that the client commands take from outside, so that they run in a test as they run in a shell. */
export interface CliIo {
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly stdin: Readable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether stderr is a terminal that can draw a progress bar. */
  readonly isTty: boolean;
  /** How much stdout shows at this moment; null when it is no terminal. */
  terminal(): TerminalSize | null;
  /** The version of this package. */
  readonly version: string;
  readonly openTransport: OpenTransport;
  setExitCode(code: ExitCode): void;
  /** Milliseconds that never go back; only differences mean anything. */
  nowMs(): number;
  /** At least 0 and less than 1. */
  random(): number;
  /** Returns early, without an error, when the signal is aborted. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** Calls the listener when the user interrupts (Ctrl-C); the returned function stops that. */
  onInterrupt(listener: () => void): () => void;
  /**
   * The offset of the first byte at or after `fromBytes` that is not in a hole (SEEK_DATA), null when only a hole is
   * left. Absent where it is not known; holes are then read and found to be zero.
   */
  readonly nextDataBytes?: NextDataBytes | undefined;
  /** Absent where this thread is to hash. */
  readonly sha256InThread?: Sha256InThread | undefined;
  /** Asks the system to hand out the buffer's memory in large pages, which takes a fraction of the time. */
  readonly preferHugePages?: PreferHugePages | undefined;
}

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/**
 * The SHA-256 of one message or of each of two, which takes about as long on most processors, in a thread of its own. The
 * bytes must stay as they are until it is there.
 */
export type Sha256InThread = (messages: readonly Uint8Array[]) => Promise<readonly Uint8Array[]>;

export type PreferHugePages = (buffer: ArrayBuffer) => void;

export type NextDataBytes = (fd: number, fromBytes: number) => number | null;

/** 0: done; 1: the server or the operation failed; 2: usage. */
export type ExitCode = 0 | 1 | 2;
