// What depends on a codec's name alone, a row each: whoever asks needs no list of names.
import { FedStreamError } from '../core/errors.js';
import type { Encoding } from '../tensor/manifest.js';

export interface CodecTraits {
  /** Bits of a code, scales aside. `raw` has 32, those of most updates; what a raw tensor takes is its dtype's to say. */
  readonly bits: number;
  /**
   * Whether a sender adds what coding lost to its next update unless told otherwise. It pays where a code shrinks or loses little
   * at a time; the loss of `u1` and `u2` is large beside the update, and the casts lose next to nothing.
   */
  readonly feedback: boolean;
  /** Codes fill whole groups of so many bytes. */
  readonly groupBytes: number;
  /** Values of the code's map, which bitsandbytes stores with every tensor; 0 where there is none. */
  readonly mapValues: number;
  /** Whether the block size is part of the rule, not a parameter. */
  readonly fixedBlock: boolean;
}

const PLAIN = { feedback: false, groupBytes: 1, mapValues: 0, fixedBlock: false } as const;
const UNIFORM = { ...PLAIN, fixedBlock: true } as const;

const TRAITS: Readonly<Record<string, CodecTraits>> = {
  raw: { ...PLAIN, bits: 32 },
  fp16: { ...PLAIN, bits: 16 },
  bf16: { ...PLAIN, bits: 16 },
  blockwise8: { ...PLAIN, bits: 8, feedback: true, mapValues: 256 },
  fp4: { ...PLAIN, bits: 4, feedback: true, mapValues: 16 },
  nf4: { ...PLAIN, bits: 4, feedback: true, mapValues: 16 },
  u1: { ...UNIFORM, bits: 1 },
  u2: { ...UNIFORM, bits: 2 },
  u3: { ...UNIFORM, bits: 3, feedback: true, groupBytes: 3 },
  u4: { ...UNIFORM, bits: 4, feedback: true },
};

/** The traits of an encoding's codec, whatever its blocks and its scales; `unsupported` where there is no such codec. */
export function codecTraits({ codec }: Encoding): CodecTraits {
  const traits = Object.hasOwn(TRAITS, codec) ? TRAITS[codec] : undefined;
  if (traits) return traits;
  throw new FedStreamError('unsupported', `there is no codec ${JSON.stringify(codec)}; the codecs are ${Object.keys(TRAITS).join(', ')}`);
}
