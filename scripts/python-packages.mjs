// The Python packages that the tests use, and how scripts make environments of them.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const constraints = join(root, 'python/constraints.txt');
export const PACKAGES = [
  'torch',
  'transformers',
  'peft',
  'safetensors',
  'numpy',
  'accelerate',
  'lightning',
  'bitsandbytes',
  'ml_dtypes',
  'pytest',
  'mypy',
  'grpcio-tools',
];

/** The interpreter of an environment. */
export const pythonOf = (venv) => join(venv, 'bin/python');

/** Runs pip of an environment, without retries, so that a registry that does not answer is reported at once. */
export function pip(venv, args, what) {
  run(pythonOf(venv), ['-m', 'pip', ...args], what, { ...process.env, PIP_RETRIES: '0', PIP_DISABLE_PIP_VERSION_CHECK: '1' });
}

/** Runs a program to its end, with its output on stderr; ends this script where it fails. */
export function run(command, args, what, env = process.env) {
  const done = spawnSync(command, args, { cwd: root, env, stdio: ['ignore', 2, 2] });
  if (done.status === 0) return;
  process.stderr.write(`fedstream: ${what} failed; the lines above say why. Python 3.10 or newer and a package registry are needed.\n`);
  process.exit(1);
}
