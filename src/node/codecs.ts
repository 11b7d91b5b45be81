// The codecs that a Node process uses: SIMD kernels, one instance a process.
import type { CodecTable } from '../codec/codec.js';
import { instantiateKernels } from '../codec/kernels.js';
import { wasmCodecs } from '../codec/wasm-codecs.js';
import { kernelModule } from './kernel-file.js';

let loaded: CodecTable | undefined;

/** The same bits as `referenceCodecs`, at the speed of the machine's memory. Instantiated on the first call. */
export function nodeCodecs(): CodecTable {
  loaded ??= wasmCodecs(instantiateKernels(kernelModule('codec.wasm')));
  return loaded;
}
