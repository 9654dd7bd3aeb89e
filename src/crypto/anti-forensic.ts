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
  let folded: Uint8Array = new Uint8Array(stripeBytes);
  for (let at = 0; at < stripes.byteLength; at += stripeBytes) {
    folded = diffuse(xor(folded, stripes.subarray(at, at + stripeBytes)), hashName);
  }
  return folded;
}

/** Replaces each piece of the length of a hash by the hash of its number and itself. */
function diffuse(block: Uint8Array, hashName: string): Uint8Array {
  const pieces: Buffer[] = [];
  let lengthBytes = 0;
  while (lengthBytes < block.byteLength) {
    const number = Buffer.alloc(4);
    number.writeUInt32BE(pieces.length);
    const hashBytes = pieces[0]?.byteLength ?? hash(hashName, '', 'buffer').byteLength;
    const piece = block.subarray(lengthBytes, lengthBytes + hashBytes);
    const digest = hash(hashName, Buffer.concat([number, piece]), 'buffer');
    pieces.push(digest);
    lengthBytes += digest.byteLength;
  }
  return Buffer.concat(pieces).subarray(0, block.byteLength);
}

function xor(left: Uint8Array, right: Uint8Array): Uint8Array {
  return left.map((byte, index) => byte ^ (right[index] ?? 0));
}
