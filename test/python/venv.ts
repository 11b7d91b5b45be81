// The interpreter of .venv, and a look at which packages it has.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const python = join(root, '.venv/bin/python');

/**
 * True where the interpreter can import the packages. Throws where FEDSTREAM_REQUIRE_PYTHON is set
 * and it cannot: CI skips nothing.
 */
export function canImport(...packages: readonly string[]): boolean {
  const found = spawnSync(python, ['-c', `import ${packages.join(', ')}`]).status === 0;
  if (!found && process.env.FEDSTREAM_REQUIRE_PYTHON)
    throw new Error(`.venv cannot import ${packages.join(', ')}: run node scripts/python-env.mjs`);
  return found;
}
