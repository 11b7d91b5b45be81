// The codec kernels: SIMD, exact by docs/spec/codecs.md, equal bit for bit to the reference kernels
// in src/codec.
export { accumulateBlockwise8, decodeBlockwise8, encodeBlockwise8 } from './blockwise8';
export { blockAbsmaxes, nonFiniteIndex } from './blocks';
export {
  accumulateBf16,
  accumulateF32,
  accumulateFp16,
  decodeBf16,
  decodeFp16,
  encodeBf16,
  encodeFp16,
  narrowBf16,
  narrowF16,
  saturatedCount,
} from './casts';
export { accumulateFourBit, decodeFourBit, encodeFp4, encodeNf4 } from './four-bit';
export { useScratch } from './memory-map';
export { sumOfSquares } from './squares';
export { encodeUniform } from './uniform';
export { accumulateUniform, decodeUniform } from './uniform-decode';
