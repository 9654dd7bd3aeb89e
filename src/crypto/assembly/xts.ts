// AES-XTS (IEEE 1619) without its AES: the masks before and after the block cipher, over many 512-byte sectors at once.
// AssemblyScript; built to xts.wasm by `npm run build:wasm`. Sectors that follow each other are independent, so four are
// worked on side by side: doubling a tweak depends on the one before, and one chain alone would keep the processor waiting.

const SECTOR: usize = 512;
const BLOCK: usize = 16;

/** Multiplies a tweak by x in GF(2^128): a shift by one bit; what falls out at the top comes back as 0x87. */
// @ts-ignore: decorator
@inline
function double(tweak: v128): v128 {
  // Shifting 32-bit lanes is one instruction where arithmetic shifts of 64-bit lanes are emulated.
  const signs = i32x4.shr_s(tweak, 31);
  const carries = v128.and(v128.shuffle<i32>(signs, signs, 3, 0, 1, 2), i32x4(0x87, 1, 1, 1));
  return v128.xor(i32x4.shl(tweak, 1), carries);
}

/** Writes the numbers of sectors, little-endian in 16 bytes each: plain64. What the second key encrypts to tweaks. */
export function numberSectors(tweaks: usize, firstSector: f64, sectors: i32): void {
  let number = <u64>firstSector;
  const end = tweaks + (<usize>sectors << 4);
  for (; tweaks < end; tweaks += BLOCK) {
    v128.store(tweaks, i64x2.replace_lane(i64x2.splat(0), 0, number++));
  }
}

/** into = from XOR the tweaks' masks, sector by sector; `from` and `into` may be the same. */
export function mask(from: usize, into: usize, tweaks: usize, sectors: i32): void {
  for (; sectors >= 4; sectors -= 4) {
    let a = v128.load(tweaks);
    let b = v128.load(tweaks, BLOCK);
    let c = v128.load(tweaks, 2 * BLOCK);
    let d = v128.load(tweaks, 3 * BLOCK);
    for (const end = from + SECTOR; from < end; from += BLOCK, into += BLOCK) {
      v128.store(into, v128.xor(v128.load(from), a));
      v128.store(into, v128.xor(v128.load(from, SECTOR), b), SECTOR);
      v128.store(into, v128.xor(v128.load(from, 2 * SECTOR), c), 2 * SECTOR);
      v128.store(into, v128.xor(v128.load(from, 3 * SECTOR), d), 3 * SECTOR);
      a = double(a);
      b = double(b);
      c = double(c);
      d = double(d);
    }
    from += 3 * SECTOR;
    into += 3 * SECTOR;
    tweaks += 4 * BLOCK;
  }
  for (; sectors > 0; --sectors) {
    let a = v128.load(tweaks);
    for (const end = from + SECTOR; from < end; from += BLOCK, into += BLOCK) {
      v128.store(into, v128.xor(v128.load(from), a));
      a = double(a);
    }
    tweaks += BLOCK;
  }
}

/**
 * The first mask of a decryption, in place. A sector of zero bytes was never written: its tweak is set to zero, which
 * no sector's real tweak is but with a probability of 2^-128, so that `unmask` knows it.
 *
 * @returns how many sectors are not zero
 */
export function maskWritten(data: usize, tweaks: usize, sectors: i32): i32 {
  let written: i32 = 0;
  for (; sectors >= 4; sectors -= 4) {
    let a = v128.load(tweaks);
    let b = v128.load(tweaks, BLOCK);
    let c = v128.load(tweaks, 2 * BLOCK);
    let d = v128.load(tweaks, 3 * BLOCK);
    let seenA = i64x2.splat(0);
    let seenB = seenA;
    let seenC = seenA;
    let seenD = seenA;
    for (const end = data + SECTOR; data < end; data += BLOCK) {
      const dataA = v128.load(data);
      const dataB = v128.load(data, SECTOR);
      const dataC = v128.load(data, 2 * SECTOR);
      const dataD = v128.load(data, 3 * SECTOR);
      v128.store(data, v128.xor(dataA, a));
      v128.store(data, v128.xor(dataB, b), SECTOR);
      v128.store(data, v128.xor(dataC, c), 2 * SECTOR);
      v128.store(data, v128.xor(dataD, d), 3 * SECTOR);
      seenA = v128.or(seenA, dataA);
      seenB = v128.or(seenB, dataB);
      seenC = v128.or(seenC, dataC);
      seenD = v128.or(seenD, dataD);
      a = double(a);
      b = double(b);
      c = double(c);
      d = double(d);
    }
    written += note(seenA, tweaks) + note(seenB, tweaks + BLOCK);
    written += note(seenC, tweaks + 2 * BLOCK) + note(seenD, tweaks + 3 * BLOCK);
    data += 3 * SECTOR;
    tweaks += 4 * BLOCK;
  }
  for (; sectors > 0; --sectors) {
    let a = v128.load(tweaks);
    let seen = i64x2.splat(0);
    for (const end = data + SECTOR; data < end; data += BLOCK) {
      const dataA = v128.load(data);
      v128.store(data, v128.xor(dataA, a));
      seen = v128.or(seen, dataA);
      a = double(a);
    }
    written += note(seen, tweaks);
    tweaks += BLOCK;
  }
  return written;
}

// @ts-ignore: decorator
@inline
function note(seen: v128, tweak: usize): i32 {
  if (v128.any_true(seen)) return 1;
  v128.store(tweak, i64x2.splat(0));
  return 0;
}

/** The last mask of a decryption, in place; sectors that `maskWritten` found never written become zeros. */
export function unmask(data: usize, tweaks: usize, sectors: i32): void {
  mask(data, data, tweaks, sectors);
  const end = tweaks + (<usize>sectors << 4);
  for (; tweaks < end; tweaks += BLOCK, data += SECTOR) {
    if (!v128.any_true(v128.load(tweaks))) memory.fill(data, 0, SECTOR);
  }
}
