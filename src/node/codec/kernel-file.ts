// Finds files of dist/, from dist/node/codec and, in tests, from src/node/codec.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FedStreamError } from '../../core/errors.js';

/** The path of dist/`name`; throws `not-found` if the package is not built. */
export function builtFile(name: string): string {
  const places = [`../../${name}`, `../../../dist/${name}`].map((place) => fileURLToPath(new URL(place, import.meta.url)));
  const found = places.find((place) => existsSync(place));
  if (!found) throw new FedStreamError('not-found', `dist/${name} is not built; run \`npm run build\``);
  return found;
}

/** Compiles dist/wasm/`name`. */
export function kernelModule(name: string): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(builtFile(`wasm/${name}`)));
}
