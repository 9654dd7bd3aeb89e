import type { DeviceEvents } from '../blockdev/block-device.ts';
import type { LockPause } from '../blockdev/layers/drive-lock.ts';
import { writeInPlace } from '../blockdev/layers/in-place-write.ts';
import { openVolume } from '../blockdev/luks-volume.ts';
import { refuseEarlierLife } from '../blockdev/pool-lives.ts';
import type { Volume } from '../blockdev/volume.ts';
import type { StoragePool } from '../blockdev/storage-pool.ts';
import type { XtsEngine } from '../crypto/xts.ts';
import { IoBuffers } from '../nbd/transmission/io-buffers.ts';
import { RequestMemory } from '../nbd/transmission/request-memory.ts';
import { Transmission } from '../nbd/transmission/transmission.ts';
import type { EndReason } from '../nbd/transmission/transmission-options.ts';
import { NBD_ERROR } from '../nbd/protocol-numbers.ts';
import { ONCE_EACH, READABLE } from '../runtime/socket-calls.ts';
import type { DataThreadSetup, FlushWish, ServedConnection, ServedEnd } from './protocol.ts';
import { RateLimit } from './rate-limit.ts';
import type { SocketLoop } from './socket-loop.ts';
import type { TrackedChanges } from './tracked-changes.ts';

/** How long a writer of a part of a block waits before it looks at the drive's lock again. */
const LOCK_PAUSE_MS = 1;

interface ThreadParts {
  readonly setup: DataThreadSetup;
  /** The address in the process of the first byte of the memory. */
  readonly baseAddress: number;
  readonly loop: SocketLoop;
  readonly pool: StoragePool;
  /** Whether devices of the pool work on many requests at a time. */
  readonly isRemote: boolean;
  readonly engine: XtsEngine;
  readonly changes: TrackedChanges;
  readonly wish: (wish: FlushWish) => void;
}

/** The NBD connections of one data thread. */
export class ServedConnections {
  readonly #parts: ThreadParts;
  readonly #buffers: IoBuffers | null;
  /** Those whose volume is being opened, and what is to become of them instead of being served. */
  readonly #attaching = new Map<number, 'cut' | 'released' | null>();
  /** Of requests that are under way; null where the device answers at once. */
  readonly #memory: RequestMemory | null;
  readonly #events: DeviceEvents;
  readonly #pause: LockPause;
  readonly #transmissions = new Map<number, Transmission>();
  readonly #flushes = new Map<number, (error: number) => void>();
  #lastFlushId = 0;

  constructor(parts: ThreadParts) {
    this.#parts = parts;
    const { setup, baseAddress, loop } = parts;
    this.#memory = parts.isRemote ? new RequestMemory() : null;
    this.#events = eventsOf(loop);
    this.#pause = () => pauseOf(loop);
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

  /** Serves a connection until it ends or is released. */
  async attach(connection: ServedConnection): Promise<ServedEnd> {
    const { connectionId } = connection;
    this.#attaching.set(connectionId, null);
    try {
      const device = await this.#open(connection);
      try {
        // After it was opened: what is open now is of this life or an earlier one.
        refuseEarlierLife(this.#parts.setup.pool, connection.life);
        return await this.#serve(connection, device);
      } finally {
        await device.close();
      }
    } finally {
      this.#attaching.delete(connectionId);
    }
  }

  /** Ends a connection, and waits until what it has under way is done. */
  async detach(connectionId: number): Promise<null> {
    // One whose volume is still being opened will not begin.
    if (this.#attaching.has(connectionId)) this.#attaching.set(connectionId, 'cut');
    const transmission = this.#transmissions.get(connectionId);
    transmission?.end('cut');
    await transmission?.settled;
    return null;
  }

  /** Ends serving a connection where it can go on elsewhere: when nothing that was asked for is left to be answered. */
  release(connectionId: number): null {
    if (this.#attaching.get(connectionId) === null) this.#attaching.set(connectionId, 'released');
    this.#transmissions.get(connectionId)?.release();
    return null;
  }

  flushed({ flushId, isDone }: { flushId: number; isDone: boolean }): null {
    const done = this.#flushes.get(flushId);
    this.#flushes.delete(flushId);
    done?.(isDone ? 0 : NBD_ERROR.EIO);
    return null;
  }

  async #open({ isReadOnly, spec }: ServedConnection): Promise<Volume> {
    const { pool, engine, changes } = this.#parts;
    return await openVolume(pool, spec, {
      engine,
      access: isReadOnly ? 'read-only' : 'read-write',
      mayGrowElsewhere: true,
      changes: changes.trackerOf(spec.volumeName),
      ...(this.#memory === null ? {} : { events: this.#events, waiting: this.#pause }),
    });
  }

  async #serve(connection: ServedConnection, device: Volume): Promise<ServedEnd> {
    const { loop } = this.#parts;
    const { connectionId, descriptor, leftover } = connection;
    const early = this.#attaching.get(connectionId) ?? null;
    this.#attaching.delete(connectionId);
    let end: ServedEnd = { reason: early ?? 'cut', leftover };
    try {
      if (early !== null) return end;
      const { promise, resolve } = Promise.withResolvers<EndReason>();
      const transmission = this.#transmission(connection, { device, onEnd: resolve });
      this.#transmissions.set(connectionId, transmission);
      loop.add(descriptor, READABLE, transmission);
      transmission.onReady();
      end = { reason: await promise, leftover: transmission.leftover() };
      return end;
    } finally {
      const transmission = this.#transmissions.get(connectionId);
      transmission?.end('cut');
      loop.remove(descriptor);
      // Seen by the client at once, whoever else has a descriptor of the socket.
      if (end.reason !== 'released') loop.calls.shutdown(descriptor);
      await transmission?.settled;
      this.#transmissions.delete(connectionId);
    }
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
      memory: this.#memory,
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

/** A loop as devices see it. */
function eventsOf(loop: SocketLoop): DeviceEvents {
  return {
    watch: (signal, onReady) =>
      loop.add(signal, READABLE + ONCE_EACH, { onReady, onDeadline: () => undefined }),
    unwatch: (signal) => loop.remove(signal),
  };
}

/** A moment, after which a lock is tried again: what other threads tell does not wake this loop. */
async function pauseOf(loop: SocketLoop): Promise<void> {
  await new Promise<void>((resolve) => {
    loop.setDeadline({ onReady: () => undefined, onDeadline: resolve }, performance.now() + LOCK_PAUSE_MS);
  });
}

/** Microseconds on a clock that all threads share. */
function sharedClockUs(): number {
  return (performance.timeOrigin + performance.now()) * 1000;
}
