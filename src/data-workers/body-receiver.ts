import { DriveError } from '../core/errors.ts';
import { PIECE_BYTES, viewOf } from './arena.ts';
import type { Segment } from './arena.ts';
import type { PieceLender } from './piece-lender.ts';
import type { ReceivedBody } from './volumes.ts';

/**
 * Takes a whole body into borrowed memory.
 *
 * @throws DriveError usage when the body ends early or goes on for longer than it said
 */
export async function receiveBody(
  { lender, memory }: { lender: PieceLender; memory: WebAssembly.Memory },
  body: AsyncIterable<Uint8Array>,
  bodyBytes: number,
): Promise<ReceivedBody> {
  const loan = await lender.borrow(Math.ceil(bodyBytes / PIECE_BYTES));
  try {
    const segments = trim(loan.segments, bodyBytes);
    await fill(
      segments.map((segment) => viewOf(memory, segment)),
      body,
      bodyBytes,
    );
    return { segments, release: () => loan.release() };
  } catch (error) {
    loan.release();
    throw error;
  }
}

async function fill(
  views: readonly Buffer[],
  body: AsyncIterable<Uint8Array>,
  bodyBytes: number,
): Promise<void> {
  const cursor = { view: 0, offset: 0, received: 0 };
  for await (const chunk of body) {
    cursor.received += chunk.byteLength;
    if (cursor.received > bodyBytes) throw wrongLength(cursor.received, bodyBytes);
    let rest = chunk;
    while (rest.byteLength > 0) {
      const view = views[cursor.view];
      if (view === undefined) throw wrongLength(cursor.received, bodyBytes);
      const part = rest.subarray(0, view.byteLength - cursor.offset);
      view.set(part, cursor.offset);
      rest = rest.subarray(part.byteLength);
      cursor.offset += part.byteLength;
      if (cursor.offset === view.byteLength) {
        cursor.view += 1;
        cursor.offset = 0;
      }
    }
  }
  if (cursor.received < bodyBytes) throw wrongLength(cursor.received, bodyBytes);
}

function wrongLength(receivedBytes: number, bodyBytes: number): DriveError {
  return new DriveError(
    'usage',
    `The body has ${receivedBytes} bytes, not the ${bodyBytes} of its Content-Length.`,
  );
}

function trim(segments: readonly Segment[], lengthBytes: number): Segment[] {
  let rest = lengthBytes;
  return segments.map((segment) => {
    const part = Math.min(segment.lengthBytes, rest);
    rest -= part;
    return { address: segment.address, lengthBytes: part };
  });
}
