// Makes .venv for the tests that need Python: torch, transformers and the others in the versions of
// python/constraints.txt, and python/ itself.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { constraints, PACKAGES, pip, pythonOf, root, run } from './python-packages.mjs';

const venv = join(root, '.venv');
const stamp = join(venv, 'fedstream.stamp');

const wanted = [PACKAGES.join(' '), readFileSync(constraints, 'utf8'), readFileSync(join(root, 'python/pyproject.toml'), 'utf8')].join(
  '\n',
);
if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) process.exit(0);
process.stderr.write('fedstream: setting up .venv (pip install torch transformers …)\n');
if (!existsSync(pythonOf(venv))) run('python3', ['-m', 'venv', venv], 'making .venv');
pip(venv, ['install', '--quiet', '--constraint', constraints, ...PACKAGES], 'pip install');
// Editable, so that the tests run the code of the tree.
pip(venv, ['install', '--quiet', '--constraint', constraints, '--editable', join(root, 'python')], 'installing the package of python/');
writeFileSync(stamp, wanted);
