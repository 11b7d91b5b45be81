// Prints the bill of materials of a release, as CycloneDX: what is installed with the package. `npm sbom --omit dev` alone would leave out
// what a tool needs as well, so npm is given a lock file without the tools.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isTool } from './dependencies.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (name) => JSON.parse(readFileSync(join(root, name), 'utf8'));

const { devDependencies: _, ...manifest } = read('package.json');
const lock = read('package-lock.json');
const { devDependencies: __, ...own } = lock.packages[''];
const packages = Object.fromEntries(Object.entries(lock.packages).filter(([path, entry]) => path !== '' && !isTool(entry)));

const made = mkdtempSync(join(tmpdir(), 'fedstream-sbom-'));
try {
  // npm names the package after the folder.
  const folder = join(made, manifest.name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ ...lock, packages: { '': own, ...packages } }));
  const args = ['sbom', '--package-lock-only', '--sbom-format', 'cyclonedx'];
  const { status } = spawnSync('npm', args, { cwd: folder, stdio: 'inherit', shell: process.platform === 'win32' });
  process.exitCode = status ?? 1;
} finally {
  rmSync(made, { recursive: true, force: true });
}
