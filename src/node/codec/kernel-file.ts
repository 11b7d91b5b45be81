// Reads the kernels of dist/wasm.
import { readFileSync } from 'node:fs';
import { builtFile } from '../built-file.js';

/** Compiles dist/wasm/`name`. */
export function kernelModule(name: string): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(builtFile(`wasm/${name}`)));
}
