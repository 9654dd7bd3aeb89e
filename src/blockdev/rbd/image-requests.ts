import type { SocketCalls } from '../../runtime/socket-calls.ts';
import type { DeviceEvents, Maybe } from '../block-device.ts';
import type { Completion, ImageCalls, TakenEvents } from './image-io.ts';
import type { Image } from './librbd.ts';

/** How long a thread waits for the cluster at a time: between two waits it can be ended. */
const WAIT_MS = 500;

/** The results of requests on one image: waited for by the thread, or told to it by its loop. */
export class ImageRequests {
  readonly #image: Image;
  readonly #io: ImageCalls;
  readonly #signals: Pick<SocketCalls, 'newSignal' | 'clearSignal' | 'close'>;
  readonly #events: DeviceEvents | null;
  /** Signalled by librbd whenever a request is complete. */
  readonly #signal: number;
  readonly #pending = new Map<Completion, { tell: (result: number) => void; memory: Uint8Array | null }>();

  constructor(
    image: Image,
    options: {
      io: ImageCalls;
      signals: Pick<SocketCalls, 'newSignal' | 'clearSignal' | 'close'>;
      events: DeviceEvents | null;
    },
  ) {
    this.#image = image;
    this.#io = options.io;
    this.#signals = options.signals;
    this.#events = options.events;
    this.#signal = options.signals.newSignal();
    this.#io.notify(image, this.#signal);
    this.#events?.watch(this.#signal, () => this.#tellResults());
  }

  /**
   * The result of a request on this memory, which is kept until then: bytes or 0, or the negative number of an error; at once when the
   * thread waits.
   */
  result(completion: Completion, memory: Uint8Array | null = null): Maybe<number> {
    if (this.#events === null) return this.#wait(completion);
    return new Promise((tell) => {
      this.#pending.set(completion, { tell, memory });
    });
  }

  /** Forgets the image, which is still open; nothing is under way. */
  close(): void {
    this.#events?.unwatch(this.#signal);
    this.#signals.close(this.#signal);
  }

  #wait(completion: Completion): number {
    while (!this.#io.isComplete(completion)) {
      this.#io.waitFor(this.#signal, WAIT_MS);
      this.#signals.clearSignal(this.#signal);
      this.#io.takeEvents(this.#image);
    }
    return this.#io.take(completion);
  }

  #tellResults(): void {
    let taken: TakenEvents;
    do {
      taken = this.#io.takeEvents(this.#image);
      for (const completion of taken.completions) this.#tell(completion);
    } while (taken.hasMore);
  }

  #tell(completion: Completion): void {
    const pending = this.#pending.get(completion);
    if (pending === undefined) throw new Error('The cluster has answered a request that nobody made.');
    this.#pending.delete(completion);
    pending.tell(this.#io.take(completion));
  }
}
