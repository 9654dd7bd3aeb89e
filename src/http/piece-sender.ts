import type { Piece } from '../service/service.ts';
import type { Exchange } from './exchange.ts';

/** Writes bytes to the client, and says when they have been taken. */
export type PieceWriter = (bytes: Uint8Array, done: () => void) => unknown;

/**
 * Writes the pieces of a read. A piece's memory is lent, so it goes back exactly once: when the socket has taken its
 * bytes, or when the connection is gone. At most `outstanding` pieces are with the socket at a time.
 *
 * At least one piece is always asked for, also for HEAD: that is what lets the source clean up after itself.
 */
export async function sendPieces(
  exchange: Exchange,
  pieces: AsyncIterable<Piece>,
  { outstanding, write }: { outstanding: number; write: PieceWriter },
): Promise<void> {
  const { res, req } = exchange;
  const lent = new Set<Piece>();
  let wake = (): void => undefined;
  const giveBack = (piece: Piece): void => {
    if (lent.delete(piece)) piece.release();
    wake();
  };
  // An answer that never got a socket of its own (pipelining) has no write callbacks; the connection's end covers it.
  const giveAllBack = (): void => [...lent].forEach(giveBack);
  req.socket.once('close', giveAllBack);
  try {
    for await (const piece of pieces) {
      lent.add(piece);
      if (exchange.isHead || res.destroyed || req.socket.destroyed) {
        giveBack(piece);
        if (exchange.isHead) continue;
        return;
      }
      exchange.sentBytes += piece.bytes.length;
      write(piece.bytes, () => giveBack(piece));
      while (lent.size >= outstanding) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    while (lent.size > 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    // After an error of the source, pieces may still be with the socket, which is about to be destroyed.
    if (lent.size === 0) req.socket.off('close', giveAllBack);
  }
}
