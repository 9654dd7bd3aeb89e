import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SocketInput } from '../service/service.ts';
import type { BodyConsumer, DetachedBody } from './detached-body.ts';

/** How a request's body comes: through Node's parser, or past it. */
export interface BodyFlow {
  /** As the request declares it; null when it does not say (chunked), 0 when there is none. */
  readonly lengthBytes: number | null;
  /** Whether the client waits to be asked for it (`Expect: 100-continue`) and has not been yet. */
  readonly isAwaited: boolean;
  /** Whether all of it has been received. */
  isComplete(): boolean;
  /** Asks for it where the client waits for that, and hands it out from then on. Called once. */
  start(consumer: BodyConsumer): void;
  pause(): void;
  resume(): void;
  /** The client's own socket to read the body from; null when the body does not come as it is. */
  takeSocket(): SocketInput | null;
}

interface Message {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly expectsContinue: boolean;
}

/** The body as Node's parser gives it. */
export function parsedFlow({ req, res, expectsContinue }: Message): BodyFlow {
  const { headers } = req;
  const declared = Number(headers['content-length'] ?? 0);
  let isAwaited = expectsContinue;
  return {
    lengthBytes: headers['transfer-encoding'] === undefined ? declared : null,
    get isAwaited() {
      return isAwaited;
    },
    isComplete: () => req.complete,
    start(consumer) {
      if (isAwaited) res.writeContinue();
      isAwaited = false;
      req.on('data', (chunk: Buffer) => consumer.onChunk(chunk));
      req.on('end', () => consumer.onEnd());
      req.on('error', () => consumer.onFailure());
      req.on('close', () => consumer.onFailure());
      if (req.destroyed && !req.readableEnded) consumer.onFailure();
    },
    pause: () => req.pause(),
    resume: () => req.resume(),
    takeSocket: () => null,
  };
}

/** The body that has stayed behind on its connection. */
export function detachedFlow(body: DetachedBody, { res, expectsContinue }: Message): BodyFlow {
  let isAwaited = expectsContinue;
  const ask = (): void => {
    if (isAwaited) res.writeContinue();
    isAwaited = false;
  };
  return {
    lengthBytes: body.lengthBytes,
    get isAwaited() {
      return isAwaited;
    },
    isComplete: () => body.isComplete,
    start(consumer) {
      ask();
      body.start(consumer);
    },
    pause: () => body.pause(),
    resume: () => body.resume(),
    takeSocket() {
      ask();
      return body.lend();
    },
  };
}
