import { writeInPlace } from '../blockdev/layers/in-place-write.ts';
import { openVolume } from '../blockdev/luks-volume.ts';
import type { Volume } from '../blockdev/volume.ts';
import type { StoragePool } from '../blockdev/storage-pool.ts';
import type { XtsEngine } from '../crypto/xts.ts';
import { IoBuffers } from '../nbd/transmission/io-buffers.ts';
import { Transmission } from '../nbd/transmission/transmission.ts';
import type { EndReason } from '../nbd/transmission/transmission.ts';
import { NBD_ERROR } from '../nbd/protocol-numbers.ts';
import { READABLE } from '../runtime/socket-calls.ts';
import type { DataThreadSetup, FlushWish, ServedConnection } from './protocol.ts';
import { RateLimit } from './rate-limit.ts';
import type { SocketLoop } from './socket-loop.ts';

interface ThreadParts {
  readonly setup: DataThreadSetup;
  /** The address in the process of the first byte of the memory. */
  readonly baseAddress: number;
  readonly loop: SocketLoop;
  readonly pool: StoragePool;
  readonly engine: XtsEngine;
  readonly wish: (wish: FlushWish) => void;
}

/** The NBD connections of one data thread. */
export class ServedConnections {
  readonly #parts: ThreadParts;
  readonly #buffers: IoBuffers | null;
  readonly #attaching = new Set<number>();
  readonly #transmissions = new Map<number, Transmission>();
  readonly #flushes = new Map<number, (error: number) => void>();
  #lastFlushId = 0;

  constructor(parts: ThreadParts) {
    this.#parts = parts;
    const { setup, baseAddress } = parts;
    this.#buffers =
      setup.transmission === null
        ? null
        : new IoBuffers({
            buffer: setup.memory.buffer,
            offsetBytes: setup.transmission.address,
            address: baseAddress + setup.transmission.address,
            lengthBytes: setup.transmission.lengthBytes,
          });
  }

  /** Serves a connection until it ends. */
  async attach(connection: ServedConnection): Promise<EndReason> {
    const { pool, engine, loop } = this.#parts;
    const access = connection.isReadOnly ? 'read-only' : 'read-write';
    const { connectionId, descriptor } = connection;
    this.#attaching.add(connectionId);
    const device = await openVolume(pool, connection.spec, { engine, access, mayGrowElsewhere: true });
    const { promise, resolve } = Promise.withResolvers<EndReason>();
    try {
      if (!this.#attaching.delete(connectionId)) return 'cut';
      const transmission = this.#transmission(connection, { device, onEnd: resolve });
      this.#transmissions.set(connectionId, transmission);
      loop.add(descriptor, READABLE, transmission);
      transmission.onReady();
      return await promise;
    } finally {
      this.#transmissions.get(connectionId)?.end('cut');
      this.#transmissions.delete(connectionId);
      loop.remove(descriptor);
      // Seen by the client at once, whoever else has a descriptor of the socket.
      loop.calls.shutdown(descriptor);
      await device.close();
    }
  }

  /** Ends a connection. What it has changed it has changed; nothing is under way between two turns of the loop. */
  detach(connectionId: number): null {
    // One whose volume is still being opened will not begin.
    this.#attaching.delete(connectionId);
    this.#transmissions.get(connectionId)?.end('cut');
    return null;
  }

  flushed({ flushId, isDone }: { flushId: number; isDone: boolean }): null {
    const done = this.#flushes.get(flushId);
    this.#flushes.delete(flushId);
    done?.(isDone ? 0 : NBD_ERROR.EIO);
    return null;
  }

  #transmission(
    connection: ServedConnection,
    { device, onEnd }: { device: Volume; onEnd: (reason: EndReason) => void },
  ): Transmission {
    if (this.#buffers === null) throw new Error('This thread serves no connections.');
    const { connectionId, descriptor, form, contextId, isReadOnly, stats, spec } = connection;
    const poolState = new Int32Array(connection.poolState);
    const rules = {
      sizeBytes: spec.sizeBytes,
      isReadOnly,
      isExtended: form === 'extended',
      hasStructuredReplies: form !== 'simple',
      hasContext: contextId !== null,
    };
    const options = {
      descriptor,
      loop: this.#parts.loop,
      buffers: this.#buffers,
      device,
      writeInPlace: (offsetBytes: number, data: Uint8Array) =>
        writeInPlace(device, offsetBytes, { data, encryptedBytes: 0 }),
      rules,
      form,
      contextId,
      stats,
      limit: new RateLimit(connection.limit, sharedClockUs),
      isPoolLow: () => Atomics.load(poolState, 0) === 1,
      flush: (done: (error: number) => void) => this.#wishForFlush(connectionId, done),
      onEnd,
    };
    return new Transmission(options, connection.leftover);
  }

  #wishForFlush(connectionId: number, done: (error: number) => void): void {
    this.#lastFlushId += 1;
    this.#flushes.set(this.#lastFlushId, done);
    this.#parts.wish({ connectionId, flushId: this.#lastFlushId });
  }
}

/** Microseconds on a clock that all threads share. */
function sharedClockUs(): number {
  return (performance.timeOrigin + performance.now()) * 1000;
}
