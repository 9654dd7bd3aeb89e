import { hash } from 'node:crypto';

// The anti-forensic splitter of LUKS1 (specification 1.2.3, section 2.4): a secret is spread over many stripes so that
// losing any one of them loses the secret; wiping a keyslot then does not depend on the disk overwriting everything.

const NUMBER_BYTES = 4;

/** Splits the secret into `stripes` times its length, all of which is needed to get it back. */
export function splitSecret(
  secret: Uint8Array,
  {
    stripes,
    hashName,
    random,
  }: { stripes: number; hashName: string; random: (lengthBytes: number) => Uint8Array },
): Uint8Array {
  const material = new Uint8Array(secret.byteLength * stripes);
  const filler = random(secret.byteLength * (stripes - 1));
  material.set(filler);
  const last = combine(filler, secret.byteLength, hashName);
  material.set(xor(last, secret), filler.byteLength);
  return material;
}

/** Gets the secret of `secretBytes` bytes back from its stripes. */
export function mergeSecret(
  material: Uint8Array,
  { secretBytes, hashName }: { secretBytes: number; hashName: string },
): Uint8Array {
  const lastAt = material.byteLength - secretBytes;
  return xor(combine(material.subarray(0, lastAt), secretBytes, hashName), material.subarray(lastAt));
}

/** Folds stripes into one: XOR the next one in, diffuse, and on. */
function combine(stripes: Uint8Array, stripeBytes: number, hashName: string): Uint8Array {
  const pieces = numberedPieces(stripeBytes, hash(hashName, '', 'buffer').byteLength);
  for (let at = 0; at < stripes.byteLength; at += stripeBytes) {
    let next = at;
    for (const { bytes, numbered } of pieces) {
      for (let index = 0; index < bytes.byteLength; index += 1, next += 1) {
        bytes[index] = (bytes[index] ?? 0) ^ (stripes[next] ?? 0);
      }
      hash(hashName, numbered, 'buffer').copy(bytes);
    }
  }
  return Buffer.concat(pieces.map(({ bytes }) => bytes));
}

/** A piece of a folded stripe, of the length of a hash or less: diffused, it is the hash of its number and itself. */
interface Piece {
  readonly bytes: Uint8Array;
  /** The same bytes behind the piece's number. */
  readonly numbered: Uint8Array;
}

function numberedPieces(stripeBytes: number, hashBytes: number): readonly Piece[] {
  return Array.from({ length: Math.ceil(stripeBytes / hashBytes) }, (_, number) => {
    const numbered = Buffer.alloc(NUMBER_BYTES + Math.min(hashBytes, stripeBytes - number * hashBytes));
    numbered.writeUInt32BE(number);
    return { numbered, bytes: numbered.subarray(NUMBER_BYTES) };
  });
}

function xor(left: Uint8Array, right: Uint8Array): Uint8Array {
  const result = new Uint8Array(left.byteLength);
  for (let at = 0; at < result.byteLength; at += 1) result[at] = (left[at] ?? 0) ^ (right[at] ?? 0);
  return result;
}
