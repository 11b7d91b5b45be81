// The reference codecs as a table, and the codec of an encoding that a manifest names.
import { FedStreamError } from '../core/errors.js';
import type { Encoding } from '../tensor/manifest.js';
import { BLOCKWISE8_BLOCK, blockwise8 } from './blockwise8.js';
import { bf16, fp16 } from './casts.js';
import type { Codec, CodecTable } from './codec.js';
import { FOUR_BIT_BLOCK } from './four-bit.js';
import { fp4 } from './fp4.js';
import { nf4 } from './nf4.js';
import { uniform } from './uniform.js';
import { UNIFORM_BLOCK, type UniformBits } from './uniform-block.js';

/** CODECS allows any multiple of 16; powers of two, so that a block never straddles two chunks. */
export const BLOCK_SIZES = { smallest: 16, largest: 16_384 } as const;

/** The plain TypeScript kernels: they say what is right. */
export const referenceCodecs: CodecTable = {
  fp16: (encoding) => castOf(encoding, fp16),
  bf16: (encoding) => castOf(encoding, bf16),
  blockwise8: (encoding) => {
    if (encoding.nested) throw unknownEncoding(encoding);
    return blockwise8(checkedBlock(encoding, BLOCKWISE8_BLOCK));
  },
  fp4: (encoding) => fp4({ blockSize: checkedBlock(encoding, FOUR_BIT_BLOCK), nested: encoding.nested ?? false }),
  nf4: (encoding) => nf4({ blockSize: checkedBlock(encoding, FOUR_BIT_BLOCK), nested: encoding.nested ?? false }),
  u1: (encoding) => uniformOf(encoding, 1),
  u2: (encoding) => uniformOf(encoding, 2),
  u3: (encoding) => uniformOf(encoding, 3),
  u4: (encoding) => uniformOf(encoding, 4),
};

/** The codec of an encoding; `unsupported` where the table has none, `bad-manifest` where its parameters cannot be. */
export function codecOf(codecs: CodecTable, encoding: Encoding): Codec {
  const make = Object.hasOwn(codecs, encoding.codec) ? codecs[encoding.codec] : undefined;
  if (!make)
    throw new FedStreamError(
      'unsupported',
      `there is no codec ${JSON.stringify(encoding.codec)} here; it has ${Object.keys(codecs).join(', ')}`,
    );
  return make(encoding);
}

function castOf(encoding: Encoding, make: () => Codec): Codec {
  if (encoding.blockSize !== undefined || encoding.nested) throw unknownEncoding(encoding);
  return make();
}

function uniformOf(encoding: Encoding, bits: UniformBits): Codec {
  if (encoding.nested || (encoding.blockSize ?? UNIFORM_BLOCK) !== UNIFORM_BLOCK) throw unknownEncoding(encoding);
  return uniform(bits);
}

function checkedBlock(encoding: Encoding, standard: number): number {
  const blockSize = encoding.blockSize ?? standard;
  const { smallest, largest } = BLOCK_SIZES;
  const powerOfTwo = Number.isInteger(blockSize) && (blockSize & (blockSize - 1)) === 0;
  if (powerOfTwo && blockSize >= smallest && blockSize <= largest) return blockSize;
  throw new FedStreamError(
    'bad-manifest',
    `block size ${blockSize} of ${encoding.codec} is not a power of two from ${smallest} to ${largest}`,
  );
}

function unknownEncoding({ codec, blockSize, nested }: Encoding): FedStreamError {
  return new FedStreamError('bad-manifest', `${codec} has no ${nested ? 'nested scales' : `block size ${blockSize}`}`);
}
