/**
 * The order of the shards in an epoch, and of the records in a shard, made from a seed: the same on every machine and
 * after every restart.
 *
 * - O1  `shuffledPlace` is a permutation of 0 … count-1 for every key, in constant memory and, on average, constant
 *       time.
 * - O2  Another seed, epoch or (for records) shard gives another order.
 *
 * O1 is a Feistel network over the least power of two that holds `count` (two halves that may differ by a bit, six
 * rounds), walked along its cycle until it lands below `count` (Black and Rogaway, "Ciphers with arbitrary finite
 * domains", 2002): fewer than two walks on average.
 */

const rounds = 6;

/** Where the shard that comes `position`-th is found: 0 ≤ position < count ≤ 2^53-1. */
export function shuffledPlace(position: number, count: number, key: number): number {
  const bits = Math.max(2, bitsOf(count - 1));
  const rightBits = bits >> 1;
  const leftMask = 2 ** (bits - rightBits) - 1;
  const rightMask = 2 ** rightBits - 1;
  const rightSize = rightMask + 1;
  let place = position;
  do {
    let left = Math.floor(place / rightSize);
    let right = place % rightSize;
    for (let round = 0; round < rounds; round += 2) {
      left ^= mix(right ^ mix(key + round)) & leftMask;
      right ^= mix(left ^ mix(key + round + 1)) & rightMask;
    }
    place = left * rightSize + right;
  } while (place >= count);
  return place;
}

/** The whole numbers start ≤ i < end, shuffled (Fisher and Yates). */
export function shuffledRange(start: number, end: number, key: number): number[] {
  const indices = Array.from({ length: end - start }, (_, offset) => start + offset);
  for (let last = indices.length - 1; last > 0; last--) {
    const other = Math.floor((mix(key ^ mix(last)) / 2 ** 32) * (last + 1));
    const moved = indices[last] ?? 0;
    indices[last] = indices[other] ?? 0;
    indices[other] = moved;
  }
  return indices;
}

/** The key of an order (O2): 32 bits of everything that it depends on. */
export function orderKey(...parts: readonly number[]): number {
  let key = 0x9e3779b9;
  for (const part of parts) key = mix(mix(key ^ part) + Math.floor(part / 2 ** 32));
  return key;
}

/** Murmur3's last step: every bit of the input reaches every bit of the output. */
function mix(input: number): number {
  let bits = (input + 0x9e3779b9) | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

function bitsOf(value: number): number {
  return value < 2 ** 32 ? 32 - Math.clz32(value) : 64 - Math.clz32(Math.floor(value / 2 ** 32));
}
