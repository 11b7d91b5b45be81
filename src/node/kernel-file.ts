// The built kernel modules in dist/wasm, wherever this file runs from: dist/node, or src/node in a test.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FedStreamError } from '../core/errors.js';

/** Compiles dist/wasm/`name`; `not-found` where the package is not built. */
export function kernelModule(name: string): WebAssembly.Module {
  const places = [`../wasm/${name}`, `../../dist/wasm/${name}`].map((place) => fileURLToPath(new URL(place, import.meta.url)));
  const found = places.find((place) => existsSync(place));
  if (!found) throw new FedStreamError('not-found', `the kernels ${name} are not built; run \`npm run build\``);
  return new WebAssembly.Module(readFileSync(found));
}
