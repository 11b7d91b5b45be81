// Codecs of the blocks of GGUF, for reading alone: values as ggml and the gguf package compute them.
import { FedStreamError } from '../core/errors.js';
import { widenF16 } from '../tensor/float16.js';
import { GGUF_TYPES, type GgufType } from '../tensor/gguf/gguf-types.js';
import type { Manifest } from '../tensor/manifest.js';
import type { Codec, CodecRow, CodecTable, CodecTraits } from './codec.js';

/** Decodes the block at `at` of `from` to 32 values from `first` on. */
type DecodeBlock = (from: Uint8Array, at: number, to: Float32Array, first: number) => void;

const half = (from: Uint8Array, at: number): number => widenF16((from[at] as number) | ((from[at + 1] as number) << 8));
const fround = Math.fround;

/** Sixteen bytes: the low halves are the first sixteen values, the high ones the others. */
function nibbles(from: Uint8Array, at: number, put: (index: number, nibble: number) => void): void {
  for (let i = 0; i < 16; i++) {
    const byte = from[at + i] as number;
    put(i, byte & 15);
    put(i + 16, byte >> 4);
  }
}

/** The fifth bits of 32 values, which stand apart. */
const fifth = (from: Uint8Array, at: number, index: number): number => ((from[at + (index >> 3)] as number) >> (index & 7)) & 1;

const DECODERS: Readonly<Record<string, DecodeBlock>> = {
  Q4_0: (from, at, to, first) => {
    const scale = half(from, at);
    nibbles(from, at + 2, (i, code) => {
      to[first + i] = scale * (code - 8);
    });
  },
  Q4_1: (from, at, to, first) => {
    const [scale, least] = [half(from, at), half(from, at + 2)];
    nibbles(from, at + 4, (i, code) => {
      to[first + i] = fround(scale * code) + least;
    });
  },
  Q5_0: (from, at, to, first) => {
    const scale = half(from, at);
    nibbles(from, at + 6, (i, code) => {
      to[first + i] = scale * ((code | (fifth(from, at + 2, i) << 4)) - 16);
    });
  },
  Q5_1: (from, at, to, first) => {
    const [scale, least] = [half(from, at), half(from, at + 2)];
    nibbles(from, at + 8, (i, code) => {
      to[first + i] = fround(scale * (code | (fifth(from, at + 4, i) << 4))) + least;
    });
  },
  Q8_0: (from, at, to, first) => {
    const scale = half(from, at);
    for (let i = 0; i < 32; i++) to[first + i] = scale * (((from[at + 2 + i] as number) << 24) >> 24);
  },
};

/** The names of the types that are decoded here. */
export const DECODED_TYPES: readonly string[] = Object.keys(DECODERS);

/** A table with the codecs of GGUF beside those that it has. */
export function withGgufCodecs(codecs: CodecTable): CodecTable {
  return { ...codecs, ...ROWS };
}

/** Throws `unsupported`, with the tensor and its type, if a tensor cannot be decoded. */
export function checkDecodable({ tensors }: Manifest, label: string): void {
  const types = new Set([...GGUF_TYPES.values()].map(({ name }) => name));
  const other = tensors.find(({ encoding }) => types.has(encoding.codec) && DECODERS[encoding.codec] === undefined);
  if (other)
    throw new FedStreamError(
      'bad-model',
      `${label}: tensor ${other.name} is ${other.encoding.codec}, which is not decoded here (${DECODED_TYPES.join(', ')}, F32, F16 and BF16 are); take the model's Q8_0 or F16 file, or make one with \`llama-quantize --allow-requantize IN OUT q8_0\``,
    );
}

function codecOf(type: GgufType): Codec {
  const { name, blockElements, blockBytes } = type;
  const decodeBlock = DECODERS[name];
  const decode = (from: Uint8Array, to: Float32Array): void => {
    if (!decodeBlock) throw new FedStreamError('unsupported', `${name} is not decoded here`);
    if (from.length !== encodedBytes(to.length))
      throw new FedStreamError('bad-manifest', `${from.length} bytes are not ${to.length} values of ${name}`);
    for (let block = 0; block * blockElements < to.length; block++) decodeBlock(from, block * blockBytes, to, block * blockElements);
  };
  const encodedBytes = (elements: number): number => Math.ceil(elements / blockElements) * blockBytes;
  return {
    encoding: { codec: name },
    blockSize: blockElements,
    encodedBytes,
    encode: () => {
      throw new FedStreamError('unsupported', `${name} is read, and not written`);
    },
    decode,
    accumulate: (from, weight, into) => {
      const values = new Float32Array(into.length);
      decode(from, values);
      for (let i = 0; i < into.length; i++) into[i] = fround((into[i] as number) + fround(weight * (values[i] as number)));
    },
  };
}

function rowFor(type: GgufType): CodecRow {
  const traits: CodecTraits = {
    bits: (8 * type.blockBytes) / type.blockElements,
    feedback: false,
    vectors: true,
    groupBytes: 1,
    mapValues: 0,
  };
  const codec = codecOf(type);
  return { name: type.name, parameters: [], lossy: true, traits, codec: () => codec };
}

const ROWS: Readonly<Record<string, CodecRow>> = Object.fromEntries(
  [...GGUF_TYPES.values()].filter(({ dtype }) => dtype === undefined).map((type) => [type.name, rowFor(type)]),
);
