// The Python of .venv. Without it, tests that need it are skipped, or fail if
// FEDSTREAM_REQUIRE_PYTHON is set.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const python = join(root, '.venv/bin/python');

const found = spawnSync(python, ['-c', 'import torch, transformers, peft, safetensors, grpc_tools, fedstream']).status === 0;
if (!found && process.env.FEDSTREAM_REQUIRE_PYTHON) throw new Error('there is no .venv with torch: run node scripts/python-env.mjs');

/** For `test.skipIf`. */
export const withoutPython = !found;

/** Runs a script to its end; returns its output, throws with its errors. */
export function runPython(args: readonly string[], cwd = root): string {
  const ran = spawnSync(python, args, { cwd, encoding: 'utf8', env: { ...process.env, OMP_NUM_THREADS: '1' } });
  if (ran.status !== 0) throw new Error(`python ${args.join(' ')} failed:\n${ran.stdout}\n${ran.stderr}`);
  return ran.stdout;
}
