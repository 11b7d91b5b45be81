// The codec kernels: SIMD, exact by docs/spec/codecs.md, equal bit for bit to the reference kernels
// in src/codec.
export { accumulateF32, encodeBf16, narrowBf16 } from './bf16';
export { accumulateBlockwise8, decodeBlockwise8, encodeBlockwise8 } from './blockwise8';
export { blockAbsmaxes, nonFiniteIndex } from './blocks';
export { accumulateBf16, accumulateFp16, decodeBf16, decodeFp16 } from './casts';
export { dotProduct, sortColumns } from './columns';
export { accumulateFourBit, decodeFourBit, encodeFp4, encodeNf4 } from './four-bit';
export { encodeFp16, narrowF16, saturatedCount } from './fp16';
export { useScratch } from './memory-map';
export { optimizerStep } from './optimizer-step';
export { sumOfSquares } from './squares';
export { encodeUniform } from './uniform';
export { accumulateUniform, decodeUniform } from './uniform-decode';
