/** Nothing to wait for when the device is synchronous; a promise when it is not. */
export type Maybe<Result> = Result | Promise<Result>;

/** A thread's loop, as a device sees it that answers with promises. */
export interface DeviceEvents {
  /** Calls after each signal, or once for several, until `unwatch`. The signal need not be cleared. */
  watch(signal: number, onSignal: () => void): void;
  unwatch(signal: number): void;
}

/** A stretch of a device, in bytes. */
export interface Range {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** A stretch that may hold data, or that is known to read as zeros. */
export interface Extent extends Range {
  readonly kind: 'data' | 'zero';
}

/** What becomes of blocks that were looked at to be changed: they are written, or made zero, or left as they are. */
export type BlockChange = 'write' | 'zero' | 'keep';

/**
 * A drive's bytes. Offsets and lengths are multiples of `blockSize` and lie within `sizeBytes`; anything else is
 * a mistake of the caller and throws a RangeError. A call that returns no promise has completed when it returns.
 *
 * Writes are seen by every later read at once and are durable after a later `flush`. Overlapping writes at the
 * same time leave, block by block, the data of one of them.
 *
 * Errors are those of the operating system (`code` ENOSPC, EIO, …), unchanged.
 */
export interface BlockDevice {
  readonly blockSize: number;
  readonly sizeBytes: number;
  /** Whether each call takes a way over a network, so that one large read takes less time than many small ones. */
  readonly isRemote?: boolean;
  /** Fills the whole of `into` with the bytes at `offsetBytes`. */
  read(offsetBytes: number, into: Uint8Array): Maybe<void>;
  /** Writes the whole of `from`, which is not changed. */
  write(offsetBytes: number, from: Uint8Array): Maybe<void>;
  /**
   * Changes what the range holds, where it is given to `change`, with nobody else's write lost in between: when there was
   * one, `change` is called again with what is there then. The range lies in one sector of 512 bytes. Only devices that
   * others than this process write to have it; on the others whoever changes blocks has the drive's lock.
   */
  update?(range: Range, change: (bytes: Uint8Array) => BlockChange): Maybe<void>;
  /** Makes the range read as zeros, by giving its space back where the device can, else by writing. */
  zero(range: Range): Maybe<void>;
  /** Like `zero` where the device can give space back; elsewhere nothing happens. */
  discard(range: Range): Maybe<void>;
  /** Claims the space that a write of this range will need, so that the write cannot fail for lack of it. ENOSPC when there is none; then nothing that can be read has changed. */
  reserve(range: Range): Maybe<void>;
  /** The range as adjacent extents in order, merged, covering it exactly. Rounding may only turn zero into data. */
  extents(range: Range): Maybe<readonly Extent[]>;
  /** When it returns, everything written before it was called is on stable storage. */
  flush(): Maybe<void>;
  /** Makes the device this large, durably. What is added reads as zeros, also after an earlier shrink. */
  resize(sizeBytes: number): Maybe<void>;
  /** Releases the device; flushes nothing. */
  close(): Maybe<void>;
}
