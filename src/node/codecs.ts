// The codecs that a Node process uses: SIMD kernels, one instance a process.
import type { CodecTable } from '../codec/codec.js';
import { instantiateKernels, type Kernels } from '../codec/kernels.js';
import { wasmCodecs } from '../codec/wasm-codecs.js';
import type { ChunkMemory } from '../tensor/chunk-memory.js';
import { kernelModule } from './kernel-file.js';

let kernels: Kernels | undefined;
let codecs: CodecTable | undefined;

/** Instantiated on the first call. */
function nodeKernels(): Kernels {
  kernels ??= instantiateKernels(kernelModule('codec.wasm'));
  return kernels;
}

/** The same bits as `referenceCodecs`, at the speed of the machine's memory. */
export function nodeCodecs(): CodecTable {
  codecs ??= wasmCodecs(nodeKernels());
  return codecs;
}

/** Buffers on which `nodeCodecs` works without copies. */
export function nodeCodecMemory(): ChunkMemory {
  return nodeKernels().memory;
}
