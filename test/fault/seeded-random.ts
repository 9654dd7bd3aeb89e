/** Random numbers that a seed repeats. */
export interface SeededRandom {
  /** From 0 up to, not including, the limit. */
  below(limit: number): number;
  between(least: number, most: number): number;
  /** Throws when there is nothing to pick from. */
  pick<T>(values: readonly T[]): T;
  bytes(sizeBytes: number): Buffer;
}

export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (limit: number): number => next() % limit;
  return {
    below,
    between: (least, most) => least + below(most - least + 1),
    pick: (values) => {
      const value = values[below(values.length)];
      if (value === undefined) throw new Error('There is nothing to pick from.');
      return value;
    },
    bytes: (sizeBytes) => {
      const bytes = Buffer.alloc(sizeBytes);
      for (let at = 0; at + 4 <= sizeBytes; at += 4) bytes.writeUInt32LE(next(), at);
      for (let at = sizeBytes - (sizeBytes % 4); at < sizeBytes; at += 1) bytes[at] = below(256);
      return bytes;
    },
  };
}
