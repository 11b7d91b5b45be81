// `blockwise8`: for each element an index into the 8-bit dynamic map, for each block an absmax.
import type { Codec, EncodeReport } from './codec.js';
import { type DecodeInto, storedOrAdded } from './decode-into.js';
import { DYNAMIC_MAP, DYNAMIC_MIDPOINTS } from './dynamic-map.js';
import { blockAbsmax, checkSizes, inverseScale, scaled, scaleView } from './scaling.js';

/** Elements of a block, by default. */
export const BLOCKWISE8_BLOCK = 4096;

const NO_REPORT: EncodeReport = { saturated: 0 };

/**
 * The code of a value in -1..1: `count(mid < s)`; if `s` equals `mid[k]`, the even one of `k` and
 * `k + 1`.
 */
export function dynamicCode(s: number): number {
  let low = 0;
  let high = 255;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((DYNAMIC_MIDPOINTS[middle] as number) < s) low = middle + 1;
    else high = middle;
  }
  return low < 255 && s === DYNAMIC_MIDPOINTS[low] && low % 2 === 1 ? low + 1 : low;
}

/**
 * The codec `blockwise8`. Layout of a chunk: float32 absmax of each block, then one byte for each
 * element.
 */
export function blockwise8(blockSize = BLOCKWISE8_BLOCK): Codec {
  const blocks = (elements: number): number => Math.ceil(elements / blockSize);
  const encodedBytes = (elements: number): number => 4 * blocks(elements) + elements;
  const decodeInto: DecodeInto = (from, to, store) => {
    checkSizes('blockwise8', to.length, encodedBytes(to.length), from);
    const scales = scaleView(from);
    const codes = 4 * blocks(to.length);
    for (let i = 0; i < to.length; i++) {
      const absmax = scales.getFloat32(4 * Math.floor(i / blockSize), true);
      store(i, Math.fround((DYNAMIC_MAP[from[codes + i] as number] as number) * absmax));
    }
  };
  return {
    encoding: { codec: 'blockwise8', blockSize },
    blockSize,
    encodedBytes,
    encode(from, to) {
      checkSizes('blockwise8', from.length, encodedBytes(from.length), to);
      const scales = scaleView(to);
      const codes = 4 * blocks(from.length);
      for (let start = 0, block = 0; start < from.length; start += blockSize, block++) {
        const end = Math.min(start + blockSize, from.length);
        const absmax = blockAbsmax(from, start, end);
        const inverse = inverseScale(absmax);
        scales.setFloat32(4 * block, absmax, true);
        for (let i = start; i < end; i++) to[codes + i] = dynamicCode(scaled(from[i] as number, inverse));
      }
      return NO_REPORT;
    },
    ...storedOrAdded(decodeInto),
  };
}
