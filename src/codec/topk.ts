// `topk`: the values of largest magnitude of each block, to the bit, and zeros for all others.
import type { Codec, CodecRow, EncodeReport } from './codec.js';
import { blockAbsmax, checkSizes, scaleView } from './scaling.js';

/** Elements of a block: it divides every chunk, and an index in it has 16 bits. */
const BLOCK = 16_384;
/** Bytes of a u16 index and a float32 value. */
const PAIR_BYTES = 6;

const NO_REPORT: EncodeReport = { saturated: 0 };

/**
 * The codec `topk`. Layout of a chunk: for each block the values that are kept, with their indices
 * in the block, in the order of the indices.
 */
function topk(fraction: number): Codec {
  const kept = (elements: number): number => Math.min(elements, Math.ceil(fraction * elements));
  const encodedBytes = (elements: number): number => PAIR_BYTES * (Math.floor(elements / BLOCK) * kept(BLOCK) + kept(elements % BLOCK));

  const decode = (from: Uint8Array, to: Float32Array): void => {
    checkSizes('topk', to.length, encodedBytes(to.length), from);
    const pairs = scaleView(from);
    to.fill(0);
    for (let start = 0, at = 0; start < to.length; start += BLOCK) {
      const block = to.subarray(start, start + BLOCK);
      // Assigning to an index beyond the block does nothing.
      for (const end = at + PAIR_BYTES * kept(block.length); at < end; at += PAIR_BYTES)
        block[pairs.getUint16(at, true)] = pairs.getFloat32(at + 2, true);
    }
  };
  return {
    encoding: { codec: 'topk', parameters: { fraction } },
    blockSize: BLOCK,
    encodedBytes,
    encode(from, to) {
      checkSizes('topk', from.length, encodedBytes(from.length), to);
      blockAbsmax(from, 0, from.length); // refuses infinite and NaN values
      const pairs = scaleView(to);
      let at = 0;
      for (let start = 0; start < from.length; start += BLOCK) {
        const block = from.subarray(start, start + BLOCK);
        for (const index of largest(block, kept(block.length))) {
          pairs.setUint16(at, index, true);
          pairs.setFloat32(at + 2, block[index] as number, true);
          at += PAIR_BYTES;
        }
      }
      return NO_REPORT;
    },
    decode,
    accumulate(from, weight, into) {
      const decoded = new Float32Array(into.length);
      decode(from, decoded);
      const factor = Math.fround(weight);
      for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) + Math.fround(factor * (decoded[i] as number));
    },
  };
}

/** Indices of the `count` values of largest magnitude, ascending; of equal values the first. */
function largest(block: Float32Array, count: number): Uint16Array {
  // Without its sign a float's bits ascend with its magnitude.
  const bits = new Uint32Array(block.slice().buffer);
  for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] as number) & 0x7fffffff;
  const found = new Uint16Array(count);
  let { least, equal } = cut(bits, count);
  for (let i = 0, at = 0; at < count; i++) {
    const magnitude = bits[i] as number;
    if (magnitude > least || (magnitude === least && equal-- > 0)) found[at++] = i;
  }
  return found;
}

/** Shift and width of each digit, the highest first. */
const DIGITS = [
  [20, 11],
  [10, 10],
  [0, 10],
] as const;

/**
 * Finds, digit by digit, the least of the `count` largest numbers of 31 bits, and how many numbers
 * equal to it are among them.
 */
function cut(numbers: Uint32Array, count: number): { least: number; equal: number } {
  let least = 0;
  let equal = count;
  for (const [shift, width] of DIGITS) {
    const above = shift + width;
    const counts = new Uint32Array(2 ** width);
    for (let i = 0; i < numbers.length; i++) {
      const number = numbers[i] as number;
      if (number >>> above !== least >>> above) continue;
      const digit = (number >>> shift) & (2 ** width - 1);
      counts[digit] = (counts[digit] as number) + 1;
    }
    let digit = counts.length - 1;
    for (; (counts[digit] as number) < equal; digit--) equal -= counts[digit] as number;
    least |= digit << shift;
  }
  return { least, equal };
}

/** The row of `topk`. */
export const topkRow: CodecRow = {
  name: 'topk',
  parameters: [{ name: 'fraction', default: 0.01, smallest: 0.0001, largest: 1, kind: 'real' }],
  lossy: true,
  traits: {
    bits: ({ parameters }) => 8 * PAIR_BYTES * (parameters?.fraction as number),
    feedback: true,
    vectors: false,
    groupBytes: 1,
    mapValues: 0,
  },
  codec: ({ parameters }) => topk(parameters?.fraction as number),
};
