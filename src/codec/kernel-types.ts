// Types of the SIMD kernels, as their callers see them.
import type { ChunkMemory } from '../tensor/chunk-memory.js';

/**
 * The exports of assembly/codec/index.ts. Every pointer is a byte offset in the memory. Encoders
 * return -1, or the index of an infinite or NaN value.
 */
export interface KernelExports {
  encodeBlockwise8(from: number, count: number, blockSize: number, scales: number, codes: number): number;
  encodeNf4(from: number, count: number, blockSize: number, scales: number, codes: number): number;
  encodeFp4(from: number, count: number, blockSize: number, scales: number, codes: number): number;
  encodeUniform(bits: number, from: number, count: number, scales: number, codes: number): number;
  encodeFp16(from: number, count: number, to: number): number;
  encodeBf16(from: number, count: number, to: number): number;
  decodeBlockwise8(scales: number, codes: number, count: number, blockSize: number, to: number): void;
  decodeFourBit(isNf4: number, scales: number, codes: number, count: number, blockSize: number, to: number): void;
  decodeUniform(bits: number, scales: number, codes: number, count: number, to: number): void;
  decodeFp16(from: number, count: number, to: number): void;
  decodeBf16(from: number, count: number, to: number): void;
  accumulateBlockwise8(scales: number, codes: number, count: number, blockSize: number, weight: number, into: number): void;
  accumulateFourBit(isNf4: number, scales: number, codes: number, count: number, blockSize: number, weight: number, into: number): void;
  accumulateUniform(bits: number, scales: number, codes: number, count: number, weight: number, into: number): void;
  accumulateFp16(from: number, count: number, weight: number, into: number): void;
  accumulateBf16(from: number, count: number, weight: number, into: number): void;
  accumulateF32(from: number, count: number, weight: number, into: number): void;
  narrowF16(from: number, count: number, to: number): void;
  narrowBf16(from: number, count: number, to: number): void;
  blockAbsmaxes(from: number, count: number, blockSize: number, scales: number): number;
  nonFiniteIndex(from: number, count: number): number;
  sumOfSquares(from: number, count: number): number;
  optimizerStep(
    rule: number,
    count: number,
    update: number,
    model: number,
    first: number,
    second: number,
    keep: number,
    rate: number,
    beta1: number,
    gain1: number,
    beta2: number,
    gain2: number,
    tau: number,
  ): number;
  sortColumns(rows: number, count: number, elements: number): void;
  dotProduct(a: number, b: number, count: number): number;
  saturatedCount(): number;
  useScratch(address: number): void;
}

/**
 * The kernels and the position of each stage; views are made once, since the memory never grows.
 */
export interface Kernels {
  readonly run: KernelExports;
  /** Buffers in the kernels' memory, behind the arenas. */
  readonly memory: ChunkMemory;
  readonly bytes: Uint8Array;
  readonly scales: number;
  readonly values: number;
  readonly codes: number;
}
