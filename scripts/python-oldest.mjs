// Runs the tests of the Python package with the oldest versions that python/pyproject.toml allows,
// in an environment of its own (.venv-oldest, several GB). Takes options of pytest.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pip, pythonOf, root, run } from './python-packages.mjs';

const venv = join(root, '.venv-oldest');
const project = readFileSync(join(root, 'python/pyproject.toml'), 'utf8');
// Dependencies alone: a line of the table [build-system] or of the tests' tools is none.
const lines = project.split('\n').filter((line) => /^(dependencies|bf16|hf|peft) = /.test(line));
const oldest = [...lines.join('\n').matchAll(/"([a-zA-Z_]+)>=([0-9.]+)"/g)].map(([, name, version]) => `${name}==${version}`);
process.stderr.write(`fedstream: the oldest versions: ${oldest.join(' ')}\n`);
run('python3', ['-m', 'venv', venv], 'making .venv-oldest');
pip(venv, ['install', '--quiet', ...oldest, 'pytest', join(root, 'python')], 'pip install');
const pytest = [
  '-m',
  'pytest',
  '-q',
  '-p',
  'no:cacheprovider',
  '--rootdir',
  join(root, 'python'),
  join(root, 'python/tests'),
  ...process.argv.slice(2),
];
run(pythonOf(venv), pytest, 'pytest with the oldest versions', { ...process.env, OMP_NUM_THREADS: '1' });
