// `topk`: the values of largest magnitude of each block, to the bit, and zeros for all others.
import type { Codec, CodecRow, EncodeReport } from './codec.js';
import { blockAbsmax, checkSizes, scaleView } from './scaling.js';

/** Divides every chunk, and an index in it has 16 bits. */
const BLOCK = 16_384;
/** A u16 index and a float32 value. */
const PAIR_BYTES = 6;

const NO_REPORT: EncodeReport = { saturated: 0 };

/** Layout of a chunk: of each block the kept values with their indices in the block, in the order of the indices. */
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
      blockAbsmax(from, 0, from.length); // refuses what is no number
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

/** Indices of the `count` values of largest magnitude, ascending; of equal ones the first. */
function* largest(block: Float32Array, count: number): Generator<number> {
  const magnitudes = block.map(Math.abs);
  const ascending = magnitudes.slice().sort();
  const least = ascending[block.length - count] as number;
  const larger = block.length - 1 - ascending.lastIndexOf(least);
  let equal = count - larger;
  for (const [index, magnitude] of magnitudes.entries()) if (magnitude > least || (magnitude === least && equal-- > 0)) yield index;
}

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
