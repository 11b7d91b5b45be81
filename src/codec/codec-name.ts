// Codecs by the names that people write: in a job, on the command line.
import { FedStreamError } from '../core/errors.js';
import { type Encoding, RAW } from '../tensor/manifest.js';
import { codecTraits } from './codec-traits.js';
import { UNIFORM_BLOCK } from './uniform-block.js';

/** What each name means; `fp32` is none: every tensor stays in its own dtype. */
export const CODEC_NAMES: Readonly<Record<string, Encoding>> = {
  fp32: RAW,
  fp16: { codec: 'fp16' },
  bf16: { codec: 'bf16' },
  blockwise8: { codec: 'blockwise8', blockSize: 4096 },
  fp4: { codec: 'fp4', blockSize: 64 },
  nf4: { codec: 'nf4', blockSize: 64 },
  'fp4-nested': { codec: 'fp4', blockSize: 64, nested: true },
  'nf4-nested': { codec: 'nf4', blockSize: 64, nested: true },
  u1: { codec: 'u1', blockSize: UNIFORM_BLOCK },
  u2: { codec: 'u2', blockSize: UNIFORM_BLOCK },
  u3: { codec: 'u3', blockSize: UNIFORM_BLOCK },
  u4: { codec: 'u4', blockSize: UNIFORM_BLOCK },
};

/** `nf4`, `nf4-nested`, `blockwise8:256` (another block size); `bad-argument` lists the names there are. */
export function parseCodecName(text: string): Encoding {
  const [name, block, ...rest] = text.split(':');
  const encoding = Object.hasOwn(CODEC_NAMES, name as string) ? CODEC_NAMES[name as string] : undefined;
  if (!encoding || rest.length > 0) {
    throw new FedStreamError(
      'bad-argument',
      `there is no codec ${JSON.stringify(text)}; the codecs are ${Object.keys(CODEC_NAMES).join(', ')}`,
    );
  }
  if (block === undefined) return encoding;
  if (encoding.blockSize === undefined || !/^\d{1,9}$/.test(block)) {
    throw new FedStreamError(
      'bad-argument',
      `codec ${JSON.stringify(text)}: a block size is a number behind blockwise8, fp4 or nf4, as in nf4:128`,
    );
  }
  if (codecTraits(encoding).fixedBlock && Number(block) !== encoding.blockSize) {
    throw new FedStreamError(
      'bad-argument',
      `codec ${JSON.stringify(text)}: blocks of ${name} always have ${encoding.blockSize} values; say ${name}`,
    );
  }
  return { ...encoding, blockSize: Number(block) };
}

/** The name that `parseCodecName` reads back. */
export function codecLabel({ codec, blockSize, nested }: Encoding): string {
  if (codec === 'raw') return 'fp32';
  const name = nested ? `${codec}-nested` : codec;
  return blockSize === undefined || blockSize === CODEC_NAMES[name]?.blockSize ? name : `${name}:${blockSize}`;
}
