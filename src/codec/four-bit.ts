// What `fp4` and `nf4` share: two nibbles a byte, a scale a block, and scales that may be coded themselves.

import { FedStreamError } from '../core/errors.js';
import { blockwise8 } from './blockwise8.js';
import type { Codec, EncodeReport, Preparation, Prepared } from './codec.js';
import { type DecodeInto, storedOrAdded } from './decode-into.js';
import { blockAbsmax, checkSizes, inverseScale, scaled, scaleView } from './scaling.js';

export const FOUR_BIT_BLOCK = 64;
/** docs/spec/codecs.md, nested scales: block of the scales' own code. */
export const NESTED_BLOCK = 256;

/** The rule of a 4-bit code. */
export interface FourBitRule {
  readonly name: string;
  /** The value of each nibble, in units of absmax. */
  readonly values: Float32Array;
  /** Pads an odd tail. */
  readonly zero: number;
  /** The nibble of a value in -1..1. */
  code(s: number): number;
}

export interface FourBitOptions {
  readonly blockSize?: number;
  readonly nested?: boolean;
}

const NO_REPORT: EncodeReport = { saturated: 0 };

/**
 * Layout of a chunk: the scales, then the nibbles, the first of two in the high half. Scales are float32 absmax a block; nested: float32 offset
 * of the tensor, float32 absmax of each 256 scales, one 8-bit code a scale.
 */
export function fourBit(rule: FourBitRule, { blockSize = FOUR_BIT_BLOCK, nested = false }: FourBitOptions): Codec {
  const blocks = (elements: number): number => Math.ceil(elements / blockSize);
  const scales = nested ? nestedScales() : plainScales();
  const scaleBytes = (elements: number): number => scales.bytes(blocks(elements));
  const encodedBytes = (elements: number): number => scaleBytes(elements) + Math.ceil(elements / 2);

  const encodeBlocks = (from: Float32Array, to: Uint8Array, absmaxes: Float32Array): void => {
    const codes = scaleBytes(from.length);
    const nibble = (i: number): number => {
      if (i >= from.length) return rule.zero;
      return rule.code(scaled(from[i] as number, inverses[Math.floor(i / blockSize)] as number));
    };
    const inverses = absmaxes.map(inverseScale);
    for (let i = 0; i < from.length; i += 2) to[codes + i / 2] = (nibble(i) << 4) | nibble(i + 1);
  };
  const decodeInto: DecodeInto = (from, to, store) => {
    checkSizes(rule.name, to.length, encodedBytes(to.length), from);
    const absmaxes = new Float32Array(blocks(to.length));
    scales.read(from, absmaxes);
    const codes = scaleBytes(to.length);
    for (let i = 0; i < to.length; i++) {
      const byte = from[codes + (i >>> 1)] as number;
      const value = rule.values[i % 2 === 0 ? byte >>> 4 : byte & 15] as number;
      store(i, Math.fround(value * (absmaxes[Math.floor(i / blockSize)] as number)));
    }
  };
  return {
    encoding: nested ? { codec: rule.name, blockSize, nested } : { codec: rule.name, blockSize },
    blockSize: nested ? blockSize * NESTED_BLOCK : blockSize,
    encodedBytes,
    ...(nested ? { prepare: () => meanOfScales(blockSize) } : {}),
    encode(from, to, prepared) {
      checkSizes(rule.name, from.length, encodedBytes(from.length), to);
      const absmaxes = chunkAbsmaxes(from, blockSize);
      scales.write(absmaxes, to, prepared);
      encodeBlocks(from, to, absmaxes);
      return NO_REPORT;
    },
    ...storedOrAdded(decodeInto),
  };
}

function chunkAbsmaxes(from: Float32Array, blockSize: number): Float32Array {
  const absmaxes = new Float32Array(Math.ceil(from.length / blockSize));
  for (let block = 0; block < absmaxes.length; block++) {
    absmaxes[block] = blockAbsmax(from, block * blockSize, Math.min((block + 1) * blockSize, from.length));
  }
  return absmaxes;
}

interface ScaleLayout {
  bytes(count: number): number;
  write(absmaxes: Float32Array, to: Uint8Array, prepared: Prepared | undefined): void;
  read(from: Uint8Array, absmaxes: Float32Array): void;
}

function plainScales(): ScaleLayout {
  return {
    bytes: (count) => 4 * count,
    write(absmaxes, to) {
      const view = scaleView(to);
      for (const [i, absmax] of absmaxes.entries()) view.setFloat32(4 * i, absmax, true);
    },
    read(from, absmaxes) {
      const view = scaleView(from);
      for (let i = 0; i < absmaxes.length; i++) absmaxes[i] = view.getFloat32(4 * i, true);
    },
  };
}

function nestedScales(): ScaleLayout {
  const coded = blockwise8(NESTED_BLOCK);
  return {
    bytes: (count) => 4 + coded.encodedBytes(count),
    write(absmaxes, to, prepared) {
      if (!prepared) throw new FedStreamError('internal', 'nested scales are coded without the mean of the tensor’s scales');
      scaleView(to).setFloat32(0, prepared.offset, true);
      const centred = absmaxes.map((absmax) => absmax - prepared.offset);
      coded.encode(centred, to.subarray(4, 4 + coded.encodedBytes(absmaxes.length)));
    },
    read(from, absmaxes) {
      const offset = scaleView(from).getFloat32(0, true);
      coded.decode(from.subarray(4, 4 + coded.encodedBytes(absmaxes.length)), absmaxes);
      for (let i = 0; i < absmaxes.length; i++) absmaxes[i] = (absmaxes[i] as number) + offset;
    },
  };
}

/** mean(absmax) over the tensor, accumulated in float64, rounded to float32. */
function meanOfScales(blockSize: number): Preparation {
  let sum = 0;
  let count = 0;
  return {
    push(chunk) {
      for (const absmax of chunkAbsmaxes(chunk, blockSize)) sum += absmax;
      count += Math.ceil(chunk.length / blockSize);
    },
    finish: () => ({ offset: Math.fround(count === 0 ? 0 : sum / count) }),
  };
}
