// `u1` to `u4`, for updates: odd multiples of a bfloat16 scale, 1 to 4 bits for each value.
import { widenBf16 } from '../tensor/bfloat16.js';
import type { Codec, EncodeReport } from './codec.js';
import { type DecodeInto, storedOrAdded } from './decode-into.js';
import { checkSizes, NonFiniteValue } from './scaling.js';
import { codeUniformBlock, UNIFORM_BLOCK, type UniformBits } from './uniform-block.js';

const NO_REPORT: EncodeReport = { saturated: 0 };

/** Bytes of the scales of a chunk. */
export function uniformScaleBytes(elements: number): number {
  return 2 * Math.ceil(elements / UNIFORM_BLOCK);
}

/**
 * Bytes of the codes of a chunk, in whole groups: 8, 4 or 2 codes in a byte, or 8 codes of three
 * bits in three bytes.
 */
export function uniformCodeBytes(bits: UniformBits, elements: number): number {
  return bits === 3 ? 3 * Math.ceil(elements / 8) : Math.ceil((elements * bits) / 8);
}

/**
 * A codec of 1 to 4 bits. Layout of a chunk: the scales, 2 bytes for each block, then the codes as
 * one row of bits, the lowest first, and zeros to the end of a group.
 */
export function uniform(bits: UniformBits): Codec {
  const name = `u${bits}`;
  const encodedBytes = (elements: number): number => uniformScaleBytes(elements) + uniformCodeBytes(bits, elements);

  const decodeInto: DecodeInto = (from, to, store) => {
    checkSizes(name, to.length, encodedBytes(to.length), from);
    const codes = from.subarray(uniformScaleBytes(to.length));
    for (let i = 0; i < to.length; i++) {
      const at = 2 * Math.floor(i / UNIFORM_BLOCK);
      const scale = widenBf16((from[at] as number) | ((from[at + 1] as number) << 8));
      const v = 2 * codeAt(codes, bits, i) - (2 ** bits - 1);
      store(i, scale === 0 ? 0 : Math.fround(scale * v));
    }
  };
  return {
    encoding: { codec: name, blockSize: UNIFORM_BLOCK },
    blockSize: UNIFORM_BLOCK,
    encodedBytes,
    encode(from, to) {
      checkSizes(name, from.length, encodedBytes(from.length), to);
      const bad = from.findIndex((value) => !Number.isFinite(value));
      if (bad >= 0) throw new NonFiniteValue(bad, from[bad] as number);
      const block = new Uint8Array(UNIFORM_BLOCK);
      const codes = to.subarray(uniformScaleBytes(from.length)).fill(0);
      for (let start = 0; start < from.length; start += UNIFORM_BLOCK) {
        const values = from.subarray(start, start + UNIFORM_BLOCK);
        const scale = codeUniformBlock(bits, values, block);
        const at = 2 * (start / UNIFORM_BLOCK);
        to[at] = scale & 0xff;
        to[at + 1] = scale >>> 8;
        for (let i = 0; i < values.length; i++) putCode(codes, bits, start + i, block[i] as number);
      }
      return NO_REPORT;
    },
    ...storedOrAdded(decodeInto),
  };
}

/** A code of three bits may lie in two bytes. */
function codeAt(codes: Uint8Array, bits: number, i: number): number {
  const byte = Math.floor((i * bits) / 8);
  const word = (codes[byte] as number) | ((codes[byte + 1] ?? 0) << 8);
  return (word >>> ((i * bits) % 8)) & (2 ** bits - 1);
}

/** Writes a code; its bits must still be 0. */
function putCode(codes: Uint8Array, bits: number, i: number, code: number): void {
  const byte = Math.floor((i * bits) / 8);
  const word = code << ((i * bits) % 8);
  codes[byte] = (codes[byte] as number) | (word & 0xff);
  if (word > 0xff) codes[byte + 1] = (codes[byte + 1] as number) | (word >>> 8);
}
