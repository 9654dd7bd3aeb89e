import { hash } from 'node:crypto';

// The anti-forensic splitter of LUKS1 (specification 1.2.3, section 2.4): a secret is spread over many stripes so that
// losing any one of them loses the secret; wiping a keyslot then does not depend on the disk overwriting everything.

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
  const hashBytes = hash(hashName, '', 'buffer').byteLength;
  let folded: Uint8Array = new Uint8Array(stripeBytes);
  for (let at = 0; at < stripes.byteLength; at += stripeBytes) {
    folded = diffuse(xor(folded, stripes.subarray(at, at + stripeBytes)), { hashName, hashBytes });
  }
  return folded;
}

/** Replaces each piece of the length of a hash by the hash of its number and itself. */
function diffuse(
  block: Uint8Array,
  { hashName, hashBytes }: { hashName: string; hashBytes: number },
): Uint8Array {
  const diffused = new Uint8Array(block.byteLength);
  const numbered = Buffer.alloc(4 + hashBytes);
  for (let at = 0; at < block.byteLength; at += hashBytes) {
    const piece = block.subarray(at, at + hashBytes);
    numbered.writeUInt32BE(at / hashBytes);
    numbered.set(piece, 4);
    const digest = hash(hashName, numbered.subarray(0, 4 + piece.byteLength), 'buffer');
    diffused.set(digest.subarray(0, piece.byteLength), at);
  }
  return diffused;
}

function xor(left: Uint8Array, right: Uint8Array): Uint8Array {
  const result = new Uint8Array(left.byteLength);
  for (let at = 0; at < result.byteLength; at += 1) result[at] = (left[at] ?? 0) ^ (right[at] ?? 0);
  return result;
}
