// An instance of the SIMD kernels: their exports, and the small arena in which blocks are staged.

import type { ChunkMemory } from '../tensor/chunk-memory.js';
import { codecMemory } from './codec-memory.js';
import { DYNAMIC_MAP } from './dynamic-map.js';
import { blockwise8Table, fp4Table, nf4Table } from './kernel-tables.js';

/** What assembly/codec/index.ts exports; every pointer is a byte offset in the memory. Encoders return -1, or the index of a value that is no number. */
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
  saturatedCount(): number;
  useScratch(address: number): void;
}

/** Elements staged at once: 64 KiB of float32 stays in the second-level cache beside its codes (measured: smaller and larger are slower). */
export const STAGE_ELEMENTS = 16_384;

/** assembly/codec/memory-map.ts. */
const BLOCKWISE8_TABLE = 0x1000;
const BLOCKWISE8_MAP = 0x21000;
const NF4_RULE = 0x21400;
const FP4_RULE = 0x21500;
const HEAP = 0x22000;
const SCRATCH_BYTES = 2048;
/** Scales of the smallest blocks, 16 elements each. */
const SCALES_BYTES = (STAGE_ELEMENTS / 16) * 4;

/** Bytes of one thread's arena. */
const ARENA_BYTES = SCRATCH_BYTES + SCALES_BYTES + 2 * STAGE_ELEMENTS * 4;
const PAGE_BYTES = 65_536;
/** As assembly/targets.json says of the shared build. */
const SHARED_MAXIMUM_PAGES = 16_384;

/** The kernels and where each stage lies; views are made once, since the memory never grows. */
export interface Kernels {
  readonly run: KernelExports;
  /** Buffers in the kernels' memory, behind the arenas. */
  readonly memory: ChunkMemory;
  readonly bytes: Uint8Array;
  readonly scales: number;
  readonly values: number;
  readonly codes: number;
}

/** Room for buffers to lend: what is never touched costs an address, not memory. */
const LENT_BYTES = 2 ** 27;

/** Memory for kernels: their tables, an arena a thread, and `lentBytes` of buffers. */
export function kernelMemory({ arenas = 1, lentBytes = LENT_BYTES, shared = false } = {}): WebAssembly.Memory {
  const pages = Math.ceil((HEAP + arenas * ARENA_BYTES + lentBytes) / PAGE_BYTES);
  return new WebAssembly.Memory(shared ? { initial: pages, maximum: SHARED_MAXIMUM_PAGES, shared } : { initial: pages });
}

/** Instantiates a module of dist/wasm. Where threads share a memory, each has an arena of its own; `arena` 0 writes the tables. */
export function instantiateKernels(module: WebAssembly.Module, memory = kernelMemory(), arena = 0, arenas = 1): Kernels {
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  const run = instance.exports as unknown as KernelExports;
  const bytes = new Uint8Array(memory.buffer);
  if (arena === 0) writeTables(bytes);
  const scratch = HEAP + arena * ARENA_BYTES;
  run.useScratch(scratch);
  const scales = scratch + SCRATCH_BYTES;
  const values = scales + SCALES_BYTES;
  const lent = codecMemory(bytes, HEAP + arenas * ARENA_BYTES);
  return { run, memory: lent, bytes, scales, values, codes: values + STAGE_ELEMENTS * 4 };
}

function writeTables(bytes: Uint8Array): void {
  bytes.set(new Uint8Array(blockwise8Table().buffer), BLOCKWISE8_TABLE);
  bytes.set(new Uint8Array(DYNAMIC_MAP.buffer, DYNAMIC_MAP.byteOffset, DYNAMIC_MAP.byteLength), BLOCKWISE8_MAP);
  bytes.set(nf4Table(), NF4_RULE);
  bytes.set(fp4Table(), FP4_RULE);
}
