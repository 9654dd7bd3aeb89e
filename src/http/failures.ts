import type { OutgoingHttpHeaders } from 'node:http';
import type { Logger } from 'pino';
import { DriveError } from '../core/errors.ts';
import { sendWhole } from './answers.ts';
import { ERROR_TABLE } from './error-table.ts';
import type { Exchange } from './exchange.ts';
import type { HttpLimits } from './limits.ts';
import { JSON_TYPE, TEXT_TYPE } from './rendering.ts';

/** What the answers to failed requests need. */
export interface FailureContext {
  readonly logger: Logger;
  readonly limits: HttpLimits;
}

const WWW_AUTHENTICATE = 'Basic realm="Drivebay", charset="UTF-8"';

/** Answers an error by the error table; when the answer has already begun, cuts the connection instead. */
export async function sendFailure(
  exchange: Exchange,
  error: unknown,
  { logger, limits }: FailureContext,
): Promise<void> {
  const failure = exchange.body.failure ?? asDriveError(error);
  logFailure(exchange, failure, error, logger);
  if (hasBegun(exchange)) {
    exchange.res.destroy();
    return;
  }
  const { status, type } = ERROR_TABLE[failure.code];
  const sentence = sentenceFor(failure, exchange);
  await sendWhole(exchange, {
    status,
    headers: {
      'Content-Type': exchange.isJson ? JSON_TYPE : TEXT_TYPE,
      'X-Elastic-Error': type,
      ...headersFor(failure, limits),
    },
    body: exchange.isJson ? JSON.stringify({ error: type, message: sentence }) : `${sentence}\n`,
  });
}

function hasBegun({ res, hasBegun }: Exchange): boolean {
  return res.headersSent || hasBegun;
}

/** Anything that is no DriveError is a mistake of Drivebay. */
function asDriveError(error: unknown): DriveError {
  return error instanceof DriveError ? error : new DriveError('failed', 'unexpected', {}, error);
}

/** A failure of Drivebay's own is told without its details: those are in the log. */
function sentenceFor(failure: DriveError, exchange: Exchange): string {
  return failure.code === 'failed'
    ? `Drivebay failed at this; its log has the request id ${exchange.requestId}.`
    : failure.message;
}

function headersFor(failure: DriveError, limits: HttpLimits): OutgoingHttpHeaders {
  if (failure.code === 'auth') return { 'WWW-Authenticate': WWW_AUTHENTICATE };
  if (failure.code === 'method') return { Allow: String(failure.facts['allow']) };
  if (failure.code === 'system') return { 'Retry-After': String(limits.retryAfterSeconds) };
  return {};
}

function logFailure(exchange: Exchange, failure: DriveError, error: unknown, logger: Logger): void {
  const { requestId } = exchange;
  if (failure.code === 'failed') logger.error({ requestId, err: error }, 'a request failed');
  else if (failure.code === 'system') logger.warn({ requestId, err: error }, 'a part is away');
  else if (hasBegun(exchange)) logger.warn({ requestId, err: error }, 'an answer was cut short');
}
