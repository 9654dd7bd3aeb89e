import { HEADER_BYTES, NBD_CMD, TRANSMISSION_MAGIC } from '../protocol-numbers.ts';

/** One request, without the data of a WRITE. The same object is used for one after the other. */
export class Request {
  flags = 0;
  command = 0;
  /** The client's name for it, 64 bits in two halves. */
  cookieHigh = 0;
  cookieLow = 0;
  /** The offset as it came, 64 bits in two halves. */
  offsetHigh = 0;
  offsetLow = 0;
  /** May be larger than any drive; then it is not exact. */
  offsetBytes = 0;
  lengthBytes = 0;

  /** Reads a header. False when it does not begin as one must. */
  read(numbers: DataView, at: number, isExtended: boolean): boolean {
    const magic = isExtended ? TRANSMISSION_MAGIC.NBD_EXTENDED_REQUEST : TRANSMISSION_MAGIC.NBD_REQUEST;
    if (numbers.getUint32(at) !== magic) return false;
    this.flags = numbers.getUint16(at + 4);
    this.command = numbers.getUint16(at + 6);
    this.cookieHigh = numbers.getUint32(at + 8);
    this.cookieLow = numbers.getUint32(at + 12);
    this.offsetHigh = numbers.getUint32(at + 16);
    this.offsetLow = numbers.getUint32(at + 20);
    this.offsetBytes = this.offsetHigh * 2 ** 32 + this.offsetLow;
    this.lengthBytes = isExtended
      ? numbers.getUint32(at + 24) * 2 ** 32 + numbers.getUint32(at + 28)
      : numbers.getUint32(at + 24);
    return true;
  }

  /** What it moves to or from the drive. */
  get transferBytes(): number {
    return this.command === NBD_CMD.READ || this.command === NBD_CMD.WRITE ? this.lengthBytes : 0;
  }

  copy(): Request {
    return Object.assign(new Request(), this);
  }
}

export function requestHeaderBytes(isExtended: boolean): number {
  return isExtended ? HEADER_BYTES.extendedRequest : HEADER_BYTES.request;
}
