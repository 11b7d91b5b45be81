// Loads the built kernels, for tests that compare them with the reference.
import type { CodecTable } from '../../src/codec/codec.js';
import type { Kernels } from '../../src/codec/kernel-types.js';
import { instantiateKernels } from '../../src/codec/kernels.js';
import { wasmCodecs } from '../../src/codec/wasm-codecs.js';
import { kernelModule } from '../../src/node/codec/kernel-file.js';

export function loadKernels(): Kernels {
  return instantiateKernels(kernelModule('codec.wasm'));
}

export function loadCodecs(): CodecTable {
  return wasmCodecs(loadKernels());
}
