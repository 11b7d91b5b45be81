// The Python package with its own tools: types, tests, and an installation into a fresh
// environment.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { breadth } from '../breadth.js';
import { withoutPython } from './python.js';
import { python, root } from './venv.js';

const folder = join(root, 'python');

test.skipIf(withoutPython)('mypy --strict', { timeout: 300_000 }, () => {
  const ran = spawnSync(python, ['-m', 'mypy', '--strict'], { cwd: folder, encoding: 'utf8' });
  expect(ran.stdout + ran.stderr).toMatch(/^Success: no issues found in \d+ source files\n$/);
});

test.skipIf(withoutPython)('pytest', { timeout: 600_000 }, () => {
  const env = { ...process.env, OMP_NUM_THREADS: '1' };
  // Training by several processes, and of the examples, takes minutes.
  const fewer = breadth([], ['--ignore=tests/test_examples.py', '-k', 'not ranks and not FSDP']);
  const ran = spawnSync(python, ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', ...fewer], { cwd: folder, encoding: 'utf8', env });
  expect(ran.status, ran.stdout + ran.stderr).toBe(0);
  expect(ran.stdout).toMatch(/\d+ passed/);
  expect(ran.stdout).not.toMatch(/skipped/);
});

test.skipIf(withoutPython)('pip install into a fresh environment, NumPy and safetensors alone', { timeout: 300_000 }, () => {
  const fresh = mkdtempSync(join(tmpdir(), 'fedstream-venv-'));
  try {
    const run = (command: string, args: readonly string[]) => {
      const ran = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, PIP_RETRIES: '0' } });
      expect(ran.status, ran.stdout + ran.stderr).toBe(0);
      return ran.stdout;
    };
    run(python, ['-m', 'venv', fresh]);
    run(join(fresh, 'bin/python'), ['-m', 'pip', 'install', '--quiet', folder]);
    const told = run(join(fresh, 'bin/python'), ['-c', 'import fedstream, sys; print(fedstream.is_federated(), "torch" in sys.modules)']);
    expect(told).toBe('False False\n');
  } finally {
    rmSync(fresh, { recursive: true });
  }
});
