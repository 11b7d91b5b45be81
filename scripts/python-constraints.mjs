// Renews python/constraints.txt: asks the registry for the newest versions of the tests' packages
// and of all that they need. Installs nothing.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { constraints, PACKAGES, pip, root, run } from './python-packages.mjs';

const folder = mkdtempSync(join(tmpdir(), 'fedstream-constraints-'));
try {
  const venv = join(folder, 'venv');
  run('python3', ['-m', 'venv', venv], 'making an environment');
  const report = join(folder, 'report.json');
  const wanted = [...PACKAGES, 'setuptools', `${join(root, 'python')}[peft,bf16]`];
  const asked = ['install', '--dry-run', '--ignore-installed', '--quiet', '--report', report, ...wanted];
  pip(venv, asked, 'asking the registry');
  const { install, environment } = JSON.parse(readFileSync(report, 'utf8'));
  const pins = install
    .map(({ metadata }) => [metadata.name.toLowerCase().replaceAll(/[-_.]+/g, '-'), metadata.version])
    .filter(([name]) => name !== 'fedstream')
    // Builds of torch for another accelerator have a suffix after a plus, which the registry's own lacks.
    .map(([name, version]) => `${name}==${version.split('+')[0]}`)
    .sort();
  const first = `# Made by \`node scripts/python-constraints.mjs\` with Python ${environment.python_version}: what scripts/python-env.mjs installs.`;
  writeFileSync(constraints, `${first}\n${pins.join('\n')}\n`);
  process.stderr.write(`fedstream: python/constraints.txt has ${pins.length} versions\n`);
} finally {
  rmSync(folder, { recursive: true });
}
