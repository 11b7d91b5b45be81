// Makes .venv for the tests that need Python: torch, transformers (for the CPU), and python/.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const venv = join(root, '.venv');
const python = join(venv, 'bin/python');
const stamp = join(venv, 'fedstream.stamp');
const PACKAGES = ['torch', 'transformers', 'peft', 'safetensors', 'numpy', 'accelerate', 'ml_dtypes', 'pytest', 'mypy', 'grpcio-tools'];

const wanted = `${PACKAGES.join(' ')}\n${readFileSync(join(root, 'python/pyproject.toml'), 'utf8')}`;
if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) process.exit(0);
process.stderr.write('fedstream: setting up .venv (pip install torch transformers …)\n');
if (!existsSync(python)) run('python3', ['-m', 'venv', venv], 'making .venv');
pip(['install', '--quiet', ...PACKAGES], 'pip install');
// Editable, so that the tests run the code of the tree.
pip(['install', '--quiet', '--editable', join(root, 'python')], 'installing the package of python/');
writeFileSync(stamp, wanted);

/** Runs pip without retries, so that a registry that does not answer is reported at once. */
function pip(args, what) {
  run(python, ['-m', 'pip', ...args], what, { ...process.env, PIP_RETRIES: '0', PIP_DISABLE_PIP_VERSION_CHECK: '1' });
}

function run(command, args, what, env = process.env) {
  const done = spawnSync(command, args, { cwd: root, env, stdio: ['ignore', 2, 2] });
  if (done.status === 0) return;
  process.stderr.write(`fedstream: ${what} failed; the lines above say why. Python 3.10 or newer and a package registry are needed.\n`);
  process.exit(1);
}
