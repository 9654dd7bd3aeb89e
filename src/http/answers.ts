import { once } from 'node:events';
import type { OutgoingHttpHeaders } from 'node:http';
import type { BlockInfo, DriveRead, Info } from '../service/service.ts';
import { renderContentDigest } from './content-digest.ts';
import { bytesHeaders, finishSilently } from './direct-output.ts';
import type { Exchange } from './exchange.ts';
import type { HttpLimits } from './limits.ts';
import { sendPieces } from './piece-sender.ts';
import {
  BLOCK_ITEMS,
  INFO_ITEMS,
  infoAsJson,
  infoAsText,
  JSON_TYPE,
  renderPages,
  TEXT_TYPE,
  valueItems,
} from './rendering.ts';
import type { ItemRendering } from './rendering.ts';

/** What a command answers when it succeeds, before it is written in the form that the client asked for. */
export type Answer =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'info'; readonly info: Info }
  | { readonly kind: 'infos'; readonly pages: AsyncIterable<readonly Info[]> }
  | { readonly kind: 'values'; readonly key: string; readonly pages: AsyncIterable<readonly string[]> }
  | { readonly kind: 'blocks'; readonly pages: AsyncIterable<readonly BlockInfo[]> }
  | { readonly kind: 'bytes'; readonly read: DriveRead; readonly sizeBytes: number }
  | { readonly kind: 'document'; readonly contentType: string; readonly body: string };

/** Writes an answer; returns when all of it is with the socket or the client is gone. */
export async function sendAnswer(exchange: Exchange, answer: Answer, limits: HttpLimits): Promise<void> {
  switch (answer.kind) {
    case 'nothing':
      return await sendWhole(exchange, { status: 204, headers: {}, body: '' });
    case 'document':
      return await sendWhole(exchange, {
        status: 200,
        headers: { 'Content-Type': answer.contentType },
        body: answer.body,
      });
    case 'info': {
      const body = exchange.isJson ? infoAsJson(answer.info) : infoAsText(answer.info);
      return await sendWhole(exchange, { status: 200, headers: formHeaders(exchange, 'properties'), body });
    }
    case 'infos':
      return await sendList(exchange, answer.pages, INFO_ITEMS, limits);
    case 'values':
      return await sendList(exchange, answer.pages, valueItems(answer.key), limits);
    case 'blocks':
      return await sendList(exchange, answer.pages, BLOCK_ITEMS, limits);
    case 'bytes':
      return await sendRead(exchange, answer, limits);
  }
}

/** An answer whose body is at hand. */
export interface WholeAnswer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: string;
}

/**
 * Writes an answer whose body is at hand. When the request's body has not been read, the answer is completed first and
 * the connection ended only after a bounded part of that body: closing with unread bytes would reset the connection,
 * and the client would lose the answer.
 */
export async function sendWhole(exchange: Exchange, { status, headers, body }: WholeAnswer): Promise<void> {
  const { res } = exchange;
  if (res.destroyed) return;
  const isUnread = exchange.body.isUnread();
  if (isUnread) exchange.mustClose = true;
  const bytes = Buffer.from(body);
  writeHead(exchange, status, status === 204 ? headers : { ...headers, 'Content-Length': bytes.length });
  if (!exchange.isHead) exchange.sentBytes = bytes.length;
  if (isUnread) {
    if (exchange.sentBytes > 0) res.write(bytes);
    else res.flushHeaders();
    await exchange.body.drain();
    res.end();
  } else {
    res.end(bytes);
  }
}

async function sendList<Item>(
  exchange: Exchange,
  pages: AsyncIterable<readonly Item[]>,
  items: ItemRendering<Item>,
  limits: HttpLimits,
): Promise<void> {
  const { res } = exchange;
  // The first page is read before the status is written, so that an error still has its own answer.
  const text = await startedEarly(renderPages(pages, items, exchange.isJson), exchange.isJson ? 2 : 1);
  writeHead(exchange, 200, formHeaders(exchange, items.output));
  limitOutput(exchange, limits);
  if (exchange.isHead) {
    await text.return(undefined);
  } else {
    for await (const part of text) {
      if (res.destroyed) return;
      exchange.sentBytes += Buffer.byteLength(part);
      if (!res.write(part)) await drained(exchange);
    }
  }
  res.end();
}

/** A generator that gives the same, whose first `count` values have already been asked for. */
async function startedEarly(source: AsyncGenerator<string>, count: number): Promise<AsyncGenerator<string>> {
  const early: string[] = [];
  while (early.length < count) {
    const next = await source.next();
    if (next.done === true) break;
    early.push(next.value);
  }
  return resumed(early, source);
}

async function* resumed(early: readonly string[], source: AsyncGenerator<string>): AsyncGenerator<string> {
  yield* early;
  yield* source;
}

async function drained({ res }: Exchange): Promise<void> {
  const stop = new AbortController();
  const { signal } = stop;
  await Promise.race([once(res, 'drain', { signal }), once(res, 'close', { signal })]).finally(() =>
    stop.abort(),
  );
}

async function sendRead(
  exchange: Exchange,
  { read, sizeBytes }: { read: DriveRead; sizeBytes: number },
  limits: HttpLimits,
): Promise<void> {
  const { res, req } = exchange;
  limitOutput(exchange, limits);
  if (read.sentBytes === null) {
    const digest = renderContentDigest(read.digest);
    const headers = digest === '' ? {} : { 'Content-Digest': digest };
    writeHead(exchange, 200, { ...bytesHeaders(sizeBytes), ...headers });
    const write = (bytes: Uint8Array, done: () => void): unknown => res.write(bytes, done);
    await sendPieces(exchange, read.pieces, { outstanding: limits.outstandingPieces, write });
    res.end();
    return;
  }
  exchange.hasBegun = true;
  exchange.sentBytes += read.sentBytes;
  const write = (bytes: Uint8Array, done: () => void): unknown => req.socket.write(bytes, done);
  // The client is slow, and these pieces are not of the memory that is set apart: one at a time.
  await sendPieces(exchange, read.pieces, { outstanding: 1, write });
  if (exchange.sentBytes === sizeBytes) finishSilently(exchange);
  else res.destroy();
}

function formHeaders(exchange: Exchange, output: 'properties' | 'list'): OutgoingHttpHeaders {
  return { 'Content-Type': exchange.isJson ? JSON_TYPE : TEXT_TYPE, 'X-Elastic-Output': output };
}

function writeHead(exchange: Exchange, status: number, headers: OutgoingHttpHeaders): void {
  const closing = exchange.mustClose ? { Connection: 'close' } : {};
  exchange.res.writeHead(status, { ...headers, ...closing, 'X-Request-Id': exchange.requestId });
}

/** Ends the connection when the client takes nothing for too long; Node lifts this when the next request starts. */
function limitOutput({ req }: Exchange, limits: HttpLimits): void {
  // A stand-in for a socket, as tests have it, knows no time.
  if ('setTimeout' in req.socket) req.socket.setTimeout(limits.outputIdleTimeoutMs);
}
