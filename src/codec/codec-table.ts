// The codecs of this package as a table, and the codec of an encoding that a manifest names.
import type { Encoding } from '../tensor/manifest.js';
import { BLOCKWISE8_BLOCK, blockwise8 } from './blockwise8.js';
import { bf16, fp16 } from './casts.js';
import type { Codec, CodecParameter, CodecRow, CodecTable, CodecTraits } from './codec.js';
import { BLOCK_SIZE, checkedEncoding } from './codec-parameters.js';
import { codecTable, rowOf } from './codec-rows.js';
import { FOUR_BIT_BLOCK, type FourBitOptions } from './four-bit.js';
import { fp4 } from './fp4.js';
import { nf4 } from './nf4.js';
import { topkRow } from './topk.js';
import { uniform } from './uniform.js';
import { UNIFORM_BLOCK, type UniformBits } from './uniform-block.js';
import { bf16Codec, blockwise8Codec, fourBitCodec, fp16Codec, uniformCodec } from './wasm-codec.js';

/** docs/spec/codecs.md allows any multiple of 16; powers of two, so that a block never straddles two chunks. */
export const BLOCK_SIZES = { smallest: 16, largest: 16_384 } as const;

const blockSize = (standard: number): CodecParameter => ({ name: BLOCK_SIZE, default: standard, ...BLOCK_SIZES, kind: 'power of two' });

const CAST: CodecTraits = { bits: 16, feedback: false, vectors: true, groupBytes: 1, mapValues: 0 };

const fourBitRow = (name: 'fp4' | 'nf4', make: (options: FourBitOptions) => Codec, kernel: CodecRow['kernel']): CodecRow => ({
  name,
  parameters: [blockSize(FOUR_BIT_BLOCK)],
  nested: true,
  lossy: true,
  traits: { bits: 4, feedback: true, vectors: false, groupBytes: 1, mapValues: 16 },
  codec: (encoding) => make({ blockSize: encoding.blockSize as number, nested: encoding.nested ?? false }),
  kernel,
});

const uniformRow = (bits: UniformBits): CodecRow => ({
  name: `u${bits}`,
  parameters: [{ name: BLOCK_SIZE, default: UNIFORM_BLOCK, smallest: UNIFORM_BLOCK, largest: UNIFORM_BLOCK, kind: 'whole' }],
  lossy: true,
  traits: { bits, feedback: bits > 2, vectors: false, groupBytes: bits === 3 ? 3 : 1, mapValues: 0 },
  codec: () => uniform(bits),
  kernel: uniformCodec(bits),
});

/** The codecs that there are without any other package. Their plain TypeScript kernels say what is right. */
export const referenceCodecs: CodecTable = codecTable(
  { name: 'fp16', parameters: [], lossy: true, traits: CAST, codec: fp16, kernel: fp16Codec },
  { name: 'bf16', parameters: [], lossy: true, traits: CAST, codec: bf16, kernel: bf16Codec },
  {
    name: 'blockwise8',
    parameters: [blockSize(BLOCKWISE8_BLOCK)],
    lossy: true,
    traits: { bits: 8, feedback: true, vectors: true, groupBytes: 1, mapValues: 256 },
    codec: (encoding) => blockwise8(encoding.blockSize),
    kernel: blockwise8Codec,
  },
  fourBitRow('fp4', fp4, fourBitCodec(0)),
  fourBitRow('nf4', nf4, fourBitCodec(1)),
  uniformRow(1),
  uniformRow(2),
  uniformRow(3),
  uniformRow(4),
  topkRow,
);

/** The codec of an encoding; `unsupported` where the table has none, `bad-manifest` where its numbers cannot be. */
export function codecOf(codecs: CodecTable, encoding: Encoding): Codec {
  const row = rowOf(codecs, encoding.codec);
  return row.codec(checkedEncoding(row, encoding));
}
