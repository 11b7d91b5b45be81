// The codecs of a Node process: SIMD kernels, one instance per process.
import { CODEC_POOL, type CodecPool, type CodecTable } from '../../codec/codec.js';
import { referenceCodecs } from '../../codec/codec-table.js';
import type { Kernels } from '../../codec/kernel-types.js';
import { instantiateKernels } from '../../codec/kernels.js';
import { wasmCodecs } from '../../codec/wasm-codecs.js';
import type { ChunkMemory } from '../../tensor/chunk-memory.js';
import { nodeCodecPool } from './codec-pool.js';
import { kernelModule } from './kernel-file.js';

let kernels: Kernels | undefined;
const codecs = new WeakMap<CodecTable, CodecTable>();
let pool: CodecPool | undefined;

/** The kernels, instantiated on the first call. */
function nodeKernels(): Kernels {
  kernels ??= instantiateKernels(kernelModule('codec.wasm'));
  return kernels;
}

/** The pool of the process, started for the first model that is large enough. */
function nodePool(): CodecPool {
  pool ??= nodeCodecPool();
  return pool;
}

/**
 * The codecs of the table, with kernels for those that have one: the same bits, at the speed of the
 * machine's memory.
 */
export function nodeCodecs(table: CodecTable = referenceCodecs): CodecTable {
  const made = codecs.get(table) ?? { ...wasmCodecs(nodeKernels(), table), [CODEC_POOL]: nodePool };
  codecs.set(table, made);
  return made;
}

/** Buffers on which `nodeCodecs` works without copies. */
export function nodeCodecMemory(): ChunkMemory {
  return nodeKernels().memory;
}
