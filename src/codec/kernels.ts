// An instance of the SIMD kernels, with the small arena in which blocks are staged.

import { codecMemory } from './codec-memory.js';
import { DYNAMIC_MAP } from './dynamic-map.js';
import { blockwise8Table, fp4Table, nf4Table } from './kernel-tables.js';
import type { KernelExports, Kernels } from './kernel-types.js';

/**
 * Elements staged at once: 64 KiB of float32 stay in the second-level cache beside their codes
 * (measured: smaller and larger stages are slower).
 */
export const STAGE_ELEMENTS = 16_384;

/** These addresses are those of assembly/codec/memory-map.ts. */
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
/** The maximum in assembly/targets.json for the shared build. */
const SHARED_MAXIMUM_PAGES = 16_384;

/** Bytes of buffers to lend; pages that are never touched cost addresses, not memory. */
const LENT_BYTES = 2 ** 27;

/** Memory for kernels: their tables, an arena for each thread, and `lentBytes` of buffers. */
export function kernelMemory({ arenas = 1, lentBytes = LENT_BYTES, shared = false } = {}): WebAssembly.Memory {
  const pages = Math.ceil((HEAP + arenas * ARENA_BYTES + lentBytes) / PAGE_BYTES);
  return new WebAssembly.Memory(shared ? { initial: pages, maximum: SHARED_MAXIMUM_PAGES, shared } : { initial: pages });
}

/**
 * Instantiates a module of dist/wasm. Threads that share a memory have an arena each; `arena` 0
 * writes the tables.
 */
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
