import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import fastify from 'fastify';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { DriveError } from '../core/errors.ts';
import { parseBasicAuth } from './basic-auth.ts';
import type { Command } from './command.ts';
import { runCommand } from './command-runner.ts';
import type { RunContext } from './command-runner.ts';
import { commandMissing, quoted, usage } from './error-table.ts';
import type { ExchangeLog } from './exchange-log.ts';
import { createExchange } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { sendFailure } from './failures.ts';
import type { HttpMetrics } from './http-metrics.ts';
import type { HttpClock } from './request-body.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the first hook, before anything else looks at the request. */
    exchange: Exchange | null;
  }
  interface FastifyContextConfig {
    command?: Command;
  }
}

/** What the application is made of. */
export interface AppParts extends RunContext {
  readonly commands: readonly Command[];
  readonly clock: HttpClock;
  readonly exchanges: ExchangeLog;
  readonly metrics: HttpMetrics;
  readonly createServer: (handler: RequestListener) => Server;
  /** Whether the client of this request waits for `100 Continue`. */
  readonly expectsContinue: (req: IncomingMessage) => boolean;
}

/**
 * What Fastify takes every request for: a command is found by its path alone, and answers a wrong method itself. With this
 * one Fastify reads no body either, nor refuses a Content-Type.
 */
const ROUTED_METHOD = 'GET';

/**
 * The commands on Fastify, which finds the command for a path. Bodies and answers are handled here and not by Fastify:
 * a body's form does not depend on registered content types, and answers are written as they become known.
 */
export function createHttpApp(parts: AppParts): FastifyInstance {
  const sentMethods = new WeakMap<IncomingMessage, string>();
  const begin = (req: IncomingMessage, res: ServerResponse): Exchange =>
    beginExchange(parts, { req, res, method: sentMethods.get(req) ?? '' });
  const app = fastify({
    // What sees a request before it is routed.
    rewriteUrl(req) {
      sentMethods.set(req, req.method ?? '');
      req.method = ROUTED_METHOD;
      return req.url ?? '';
    },
    serverFactory: (handler) => parts.createServer((req, res) => handler(req, res)),
    logger: false,
    // The connection guard answers these.
    clientErrorHandler: () => undefined,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    routerOptions: { maxParamLength: parts.limits.headerBytes },
    frameworkErrors: (_error, request, reply) => {
      void answerBadPath(parts, begin(request.raw, reply.raw));
    },
  });
  app.decorateRequest('exchange', null);
  app.addHook('onRequest', async (request, reply) => {
    const exchange = begin(request.raw, reply.raw);
    request.exchange = exchange;
    const command = request.routeOptions.config.command;
    exchange.template = command?.path ?? null;
    try {
      await admit(parts, exchange, command);
    } catch (error) {
      reply.hijack();
      await sendFailure(exchange, error, parts);
    }
  });
  app.setNotFoundHandler(async (request, reply) => {
    reply.hijack();
    const exchange = exchangeOf(request);
    await sendFailure(exchange, commandMissing(exchange.path), parts);
  });
  for (const command of parts.commands) addCommand(app, command, parts);
  return app;
}

function addCommand(app: FastifyInstance, command: Command, parts: AppParts): void {
  app.route({
    method: ROUTED_METHOD,
    url: command.path,
    config: { command },
    handler: async (request, reply) => {
      reply.hijack();
      const params = request.params as Readonly<Record<string, string>>;
      await runCommand(exchangeOf(request), command, params, parts);
    },
  });
}

function exchangeOf(request: FastifyRequest): Exchange {
  if (request.exchange === null) throw new Error('the request has not passed the first hook');
  return request.exchange;
}

function beginExchange(
  parts: AppParts,
  message: { req: IncomingMessage; res: ServerResponse; method: string },
): Exchange {
  const { clock, limits } = parts;
  const expectsContinue = parts.expectsContinue(message.req);
  const exchange = createExchange(message, { clock, limits, expectsContinue });
  parts.exchanges.begin(exchange);
  return exchange;
}

/** A path that is not valid percent-encoding never reaches the router's hooks; it too needs credentials first. */
async function answerBadPath(parts: AppParts, exchange: Exchange): Promise<void> {
  try {
    await admit(parts, exchange, undefined);
    throw usage(`The path ${quoted(exchange.path)} is not valid percent-encoded UTF-8.`);
  } catch (error) {
    await sendFailure(exchange, error, parts);
  }
}

/**
 * Lets a request in whose credentials are good; whether the path exists does not matter yet.
 *
 * @throws DriveError auth
 */
async function admit(parts: AppParts, exchange: Exchange, command: Command | undefined): Promise<void> {
  const { req } = exchange;
  if (req.httpVersion === '1.1' && req.headers.host === undefined) {
    throw usage('The request has no Host header.');
  }
  // RFC 9112, 3.2: two of them may mean two servers to two readers.
  if (countHosts(req.rawHeaders) > 1) throw usage('The request has more than one Host header.');
  if (command?.access === 'anyone') return;
  const login = parseBasicAuth(req.headers.authorization);
  const address = req.socket.remoteAddress ?? '';
  exchange.user = login === null ? null : await parts.service.access.authenticate({ ...login, address });
  if (exchange.user !== null) return;
  parts.metrics.authFailed();
  throw new DriveError('auth', "This needs HTTP Basic credentials: a user's UUID and its API key.");
}

/** @param rawHeaders names and values by turns, which Node has not merged */
function countHosts(rawHeaders: readonly string[]): number {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() === 'host') hosts += 1;
  }
  return hosts;
}
