import koffi from 'koffi';

/** What a call needs of the OpenSSL in this process. Addresses are plain numbers: passing them is what makes small calls cheap. */
export interface LibCrypto {
  /** Makes an AES-256-ECB context without padding, which keeps no state between blocks. Free it with `freeContext`. */
  newEcbContext(key: Uint8Array): number;
  /**
   * Makes an AES-256-XTS context that takes the data of each `update` for one sector of this number, of up to 16 MiB. Free
   * it with `freeContext`.
   */
  newXtsContext(key: Uint8Array, options: { sector: Uint8Array; direction: Direction }): number;
  /** Transforms whole blocks in place; `outLength` is the address of 4 bytes that nobody else uses meanwhile. */
  update(context: number, data: { address: number; lengthBytes: number }, outLength: number): void;
  freeContext(context: number): void;
}

export type Direction = 'encrypt' | 'decrypt';

const KEY_BYTES = 32;

/**
 * The libcrypto that Node itself carries and exports to add-ons, called directly.
 *
 * The design says `createCipheriv` objects that are reused. Their `update` makes a new Buffer for each result, which
 * was measured at half the speed of this and at a multiple of the cost of a 4 KiB request; here the work is in place.
 *
 * @throws Error when this Node does not export OpenSSL
 */
export function loadLibCrypto(): LibCrypto {
  const calls = bindCalls();
  const newContext = (
    cipher: unknown,
    key: Uint8Array,
    iv: Uint8Array | null,
    direction: Direction,
  ): number => {
    const context = Number(calls.newContext());
    if (context === 0) throw new Error('OpenSSL has no memory for a cipher.');
    if (calls.init(context, cipher, null, key, iv, direction === 'encrypt' ? 1 : 0) !== 1) {
      calls.freeContext(context);
      throw new Error(
        'OpenSSL does not take the AES-256 key: its provider may be restricted on this machine.',
      );
    }
    return context;
  };
  return {
    newEcbContext(key) {
      if (key.byteLength !== KEY_BYTES) throw new RangeError(`An AES-256 key is ${KEY_BYTES} bytes.`);
      const context = newContext(calls.aes256Ecb(), key, null, 'encrypt');
      calls.setPadding(context, 0);
      return context;
    },
    newXtsContext(key, { sector, direction }) {
      if (key.byteLength !== 2 * KEY_BYTES)
        throw new RangeError(`An AES-256-XTS key is ${2 * KEY_BYTES} bytes.`);
      return newContext(calls.aes256Xts(), key, sector, direction);
    },
    update(context, { address, lengthBytes }, outLength) {
      if (calls.update(context, address, outLength, address, lengthBytes) !== 1) {
        throw new Error('OpenSSL failed to run AES-256.');
      }
    },
    freeContext: (context) => calls.freeContext(context),
  };
}

interface Calls {
  newContext(): bigint | number | null;
  aes256Ecb(): unknown;
  aes256Xts(): unknown;
  init(
    context: number,
    cipher: unknown,
    engine: null,
    key: Uint8Array,
    iv: Uint8Array | null,
    encrypts: number,
  ): number;
  setPadding(context: number, padding: number): number;
  update(context: number, out: number, outLength: number, data: number, lengthBytes: number): number;
  freeContext(context: number): void;
}

function bindCalls(): Calls {
  try {
    const lib = koffi.load(null);
    return {
      newContext: lib.func('uintptr_t EVP_CIPHER_CTX_new()'),
      aes256Ecb: lib.func('void *EVP_aes_256_ecb()'),
      aes256Xts: lib.func('void *EVP_aes_256_xts()'),
      init: lib.func('int EVP_CipherInit_ex(uintptr_t, void *, void *, uint8_t *, uint8_t *, int)'),
      setPadding: lib.func('int EVP_CIPHER_CTX_set_padding(uintptr_t, int)'),
      update: lib.func('int EVP_CipherUpdate(uintptr_t, uintptr_t, uintptr_t, uintptr_t, int)'),
      freeContext: lib.func('void EVP_CIPHER_CTX_free(uintptr_t)'),
    };
  } catch (cause) {
    throw new Error(
      `The Node at ${process.execPath} does not export OpenSSL, which encrypted drives need: run the one from nodejs.org or from the npm package "node".`,
      { cause },
    );
  }
}
