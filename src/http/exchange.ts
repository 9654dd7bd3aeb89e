import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { User } from '../core/user.ts';
import type { HttpLimits } from './limits.ts';
import { acceptsJson } from './rendering.ts';
import { detachedFlow, parsedFlow } from './body-flow.ts';
import { DirectConnection } from './direct-connection.ts';
import { usage } from './error-table.ts';
import { RequestBody } from './request-body.ts';
import type { BodyRules, HttpClock } from './request-body.ts';

/** One request and its answer, from the first hook to the line in the log. */
export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly requestId: string;
  /** As the client sent it. */
  readonly method: string;
  /** The request's path without its query. */
  readonly path: string;
  /** What follows the question mark; empty when there is none. */
  readonly query: string;
  readonly isHead: boolean;
  readonly isJson: boolean;
  readonly body: RequestBody;
  readonly startedAtMs: number;
  /** The path of the command with its parameters unfilled; null when no command was found. */
  template: string | null;
  user: User | null;
  /** Whether an answer was begun past the HTTP server, which knows nothing of it. */
  hasBegun: boolean;
  /** Bytes of the answer's body. */
  sentBytes: number;
  /** Whether the connection ends with this answer. */
  mustClose: boolean;
}

const SANE_ID = /^[A-Za-z0-9-]{1,64}$/;

export function createExchange(
  { req, res, method }: { req: IncomingMessage; res: ServerResponse; method: string },
  { clock, limits, expectsContinue }: { clock: HttpClock; limits: HttpLimits; expectsContinue: boolean },
): Exchange {
  const url = req.url ?? '/';
  const question = url.indexOf('?');
  return {
    req,
    res,
    requestId: requestIdOf(req.headers['x-request-id']),
    method,
    path: question === -1 ? url : url.slice(0, question),
    query: question === -1 ? '' : url.slice(question + 1),
    isHead: method === 'HEAD',
    isJson: acceptsJson(req.headers.accept),
    body: bodyOf({ req, res, expectsContinue }, { clock, limits }),
    startedAtMs: clock.nowMs(),
    template: null,
    user: null,
    hasBegun: false,
    sentBytes: 0,
    mustClose: false,
  };
}

function bodyOf(
  message: { req: IncomingMessage; res: ServerResponse; expectsContinue: boolean },
  rules: BodyRules,
): RequestBody {
  const { socket } = message.req;
  const detached = socket instanceof DirectConnection ? socket.takeBody() : null;
  return new RequestBody(detached === null ? parsedFlow(message) : detachedFlow(detached, message), rules);
}

/**
 * Aborted, with what to answer, when the client goes away before its answer. Many hang up by ending their side only, so
 * that counts too: this is for work so long that nobody wants it done for a client that is gone.
 */
export function signalOfHangUp({ req, res }: Exchange): AbortSignal {
  const hangUp = new AbortController();
  const { socket } = req;
  const abort = (): void => {
    hangUp.abort(usage('The client ended the connection before its answer was there.'));
  };
  if (socket.readableEnded) abort();
  socket.once('end', abort);
  res.once('close', () => {
    socket.off('end', abort);
    if (!res.writableFinished) abort();
  });
  return hangUp.signal;
}

/** The client's own id when it is fit for a log line, else a new one. */
function requestIdOf(header: string | string[] | undefined): string {
  return typeof header === 'string' && SANE_ID.test(header) ? header : randomUUID();
}
