import koffi from 'koffi';

/** The address in this process of the first byte of a buffer that the engine never moves. */
export function addressOf(buffer: ArrayBufferLike): number {
  return Number(koffi.address(new Uint8Array(buffer)));
}
