// AES-XTS (IEEE 1619) without its AES: the masks before and after the block cipher, over many 512-byte sectors at once.
// AssemblyScript; built to xts.wasm by `npm run build:wasm`. Sectors that follow each other are independent, so eight are
// worked on side by side: doubling a tweak depends on the one before, and one chain alone would keep the processor waiting.

const SECTOR: usize = 512;
const BLOCK: usize = 16;

/**
 * What falls out of a tweak's 32-bit lanes at the top when it is doubled comes back in these. It is made of what the
 * compiler cannot know: a constant would be loaded again at each use, which costs a third of the speed.
 */
// @ts-ignore: decorator
@inline
function carriesOf(sectors: i32): v128 {
  const one = <i32>(sectors > 0);
  return i32x4.replace_lane(i32x4.splat(one), 0, 0x87 * one);
}

/** Multiplies a tweak by x in GF(2^128): a shift by one bit; what falls out at the top comes back as 0x87. */
// @ts-ignore: decorator
@inline
function double(tweak: v128, carries: v128): v128 {
  // Shifting 32-bit lanes is one instruction where arithmetic shifts of 64-bit lanes are emulated.
  const signs = i32x4.shr_s(tweak, 31);
  const carried = v128.and(v128.shuffle<i32>(signs, signs, 3, 0, 1, 2), carries);
  return v128.xor(i32x4.add(tweak, tweak), carried);
}

/** Multiplies a tweak by x^32, from the start of one sector to the next: what falls out at the top comes back 0x87 times. */
// @ts-ignore: decorator
@inline
function nextSector(tweak: v128): v128 {
  const out = v128.and(v128.shuffle<i32>(tweak, tweak, 3, 0, 0, 0), i64x2(0xffffffff, 0));
  const twice = v128.xor(out, i64x2.shl(out, 1));
  const carries = v128.xor(twice, v128.xor(i64x2.shl(out, 2), i64x2.shl(out, 7)));
  const shifted = v128.and(v128.shuffle<i32>(tweak, tweak, 0, 0, 1, 2), i32x4(0, -1, -1, -1));
  return v128.xor(shifted, carries);
}

/**
 * Writes what the second key encrypts to tweaks, 16 bytes each: the number that OpenSSL's XTS starts from, all ones, which
 * no sector has, and behind it the numbers of the sectors, little-endian: plain64.
 */
export function numberSectors(tweaks: usize, firstSector: f64, sectors: i32): void {
  let number = <u64>firstSector;
  v128.store(tweaks, i64x2.splat(-1));
  tweaks += BLOCK;
  const end = tweaks + (<usize>sectors << 4);
  for (; tweaks < end; tweaks += BLOCK) {
    v128.store(tweaks, i64x2.replace_lane(i64x2.splat(0), 0, number++));
  }
}

/**
 * Makes each sector's tweak the difference between it and the one that OpenSSL uses there, which takes all the sectors for
 * one long one from the first tweak on. Both double from block to block, so their difference does as well.
 */
export function alignTweaks(tweaks: usize, sectors: i32): void {
  let used = v128.load(tweaks);
  tweaks += BLOCK;
  const end = tweaks + (<usize>sectors << 4);
  for (; tweaks < end; tweaks += BLOCK) {
    v128.store(tweaks, v128.xor(v128.load(tweaks), used));
    used = nextSector(used);
  }
}

/** into = from XOR the tweaks' masks, sector by sector; `from` and `into` may be the same. */
export function mask(from: usize, into: usize, tweaks: usize, sectors: i32): void {
  const carries = carriesOf(sectors);
  for (; sectors >= 8; sectors -= 8) {
    let a = v128.load(tweaks);
    let b = v128.load(tweaks, BLOCK);
    let c = v128.load(tweaks, 2 * BLOCK);
    let d = v128.load(tweaks, 3 * BLOCK);
    let e = v128.load(tweaks, 4 * BLOCK);
    let f = v128.load(tweaks, 5 * BLOCK);
    let g = v128.load(tweaks, 6 * BLOCK);
    let h = v128.load(tweaks, 7 * BLOCK);
    for (const end = from + SECTOR; from < end; from += BLOCK, into += BLOCK) {
      v128.store(into, v128.xor(v128.load(from), a));
      v128.store(into, v128.xor(v128.load(from, SECTOR), b), SECTOR);
      v128.store(into, v128.xor(v128.load(from, 2 * SECTOR), c), 2 * SECTOR);
      v128.store(into, v128.xor(v128.load(from, 3 * SECTOR), d), 3 * SECTOR);
      v128.store(into, v128.xor(v128.load(from, 4 * SECTOR), e), 4 * SECTOR);
      v128.store(into, v128.xor(v128.load(from, 5 * SECTOR), f), 5 * SECTOR);
      v128.store(into, v128.xor(v128.load(from, 6 * SECTOR), g), 6 * SECTOR);
      v128.store(into, v128.xor(v128.load(from, 7 * SECTOR), h), 7 * SECTOR);
      a = double(a, carries);
      b = double(b, carries);
      c = double(c, carries);
      d = double(d, carries);
      e = double(e, carries);
      f = double(f, carries);
      g = double(g, carries);
      h = double(h, carries);
    }
    from += 7 * SECTOR;
    into += 7 * SECTOR;
    tweaks += 8 * BLOCK;
  }
  for (; sectors > 0; --sectors) {
    let a = v128.load(tweaks);
    for (const end = from + SECTOR; from < end; from += BLOCK, into += BLOCK) {
      v128.store(into, v128.xor(v128.load(from), a));
      a = double(a, carries);
    }
    tweaks += BLOCK;
  }
}

/**
 * Sets the tweak of each sector of zero bytes, which was never written, to zero, which no sector's real one is but with a
 * probability of 2^-128: so that `unmask` knows it.
 *
 * @returns how many sectors are not zero
 */
export function noteUnwritten(data: usize, tweaks: usize, sectors: i32): i32 {
  let written = sectors;
  const end = tweaks + (<usize>sectors << 4);
  for (; tweaks < end; tweaks += BLOCK, data += SECTOR) {
    // One block tells of nearly every sector that was written.
    if (v128.any_true(v128.load(data)) || !isZero(data)) continue;
    v128.store(tweaks, i64x2.splat(0));
    --written;
  }
  return written;
}

function isZero(sector: usize): bool {
  let seen = i64x2.splat(0);
  for (const end = sector + SECTOR; sector < end; sector += BLOCK) seen = v128.or(seen, v128.load(sector));
  return !v128.any_true(seen);
}

/** The last mask of a decryption, in place; sectors that `noteUnwritten` found become zeros. */
export function unmask(data: usize, tweaks: usize, sectors: i32): void {
  mask(data, data, tweaks, sectors);
  const end = tweaks + (<usize>sectors << 4);
  for (; tweaks < end; tweaks += BLOCK, data += SECTOR) {
    if (!v128.any_true(v128.load(tweaks))) memory.fill(data, 0, SECTOR);
  }
}
