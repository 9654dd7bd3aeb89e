/** After so many bytes the system is told to write them out; it would collect gigabytes for the end otherwise. */
const FLUSH_EVERY_BYTES = 64 * 1024 * 1024;

/** Flushes a file while it is being written, so that little is left for the end; one flush at a time. */
export class EarlyFlush {
  readonly #flush: () => Promise<void>;
  #unflushedBytes = 0;
  #flushing: Promise<void> | null = null;
  #error: unknown = null;

  constructor(flush: () => Promise<void>) {
    this.#flush = flush;
  }

  wrote(lengthBytes: number): void {
    this.#unflushedBytes += lengthBytes;
    if (this.#unflushedBytes < FLUSH_EVERY_BYTES || this.#flushing !== null) return;
    this.#unflushedBytes = 0;
    this.#flushing = this.#flush()
      .catch((error: unknown) => {
        this.#error ??= error;
      })
      .finally(() => {
        this.#flushing = null;
      });
  }

  /**
   * Waits for the flush that is under way.
   *
   * @throws what a flush has failed with: the system tells that once, so a later flush would succeed
   */
  async settle(): Promise<void> {
    await this.#flushing;
    if (this.#error !== null) throw this.#error;
  }
}
