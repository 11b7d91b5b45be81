// The built kernels, for tests that hold them against the reference.
import { readFileSync } from 'node:fs';
import type { CodecTable } from '../../src/codec/codec.js';
import { instantiateKernels, type Kernels } from '../../src/codec/kernels.js';
import { wasmCodecs } from '../../src/codec/wasm-codecs.js';

export function kernelModule(name = 'codec.wasm'): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL(`../../dist/wasm/${name}`, import.meta.url)));
}

export function loadKernels(): Kernels {
  return instantiateKernels(kernelModule());
}

export function loadCodecs(): CodecTable {
  return wasmCodecs(loadKernels());
}
