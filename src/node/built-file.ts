// Finds files of dist/: from the bundle, from dist/node and, in tests, from src/node.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FedStreamError } from '../core/errors.js';

/** The path of dist/`name`; throws `not-found` if the package is not built. */
export function builtFile(name: string): string {
  const places = [`../../dist/${name}`, `../../../dist/${name}`].map((place) => fileURLToPath(new URL(place, import.meta.url)));
  const found = places.find((place) => existsSync(place));
  if (!found) throw new FedStreamError('not-found', `dist/${name} is not built; run \`npm run build\``);
  return found;
}

/** The path of a program for a thread or a process of its own, by the name of its file. */
export function builtProgram(name: string): string {
  return builtFile(`bundle/entry/${name}.js`);
}
