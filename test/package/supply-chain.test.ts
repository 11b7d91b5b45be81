// What comes in with the package: licences, install scripts, and the list of it that a release has.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';

interface Package {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly need: 'always' | 'optional' | 'tool';
  readonly hasInstallScript: boolean;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const { packagesOf, faultsOf } = (await import(pathToFileURL(join(root, 'scripts/dependencies.mjs')).href)) as {
  packagesOf(lock: unknown): Package[];
  faultsOf(packages: readonly Package[]): string[];
};
const packages = packagesOf(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')));
const innocent: Package = { name: 'x', version: '1.0.0', license: 'MIT', need: 'always', hasInstallScript: false };

test('the page of dependencies is current, and every licence is an allowed one', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts/dependencies.mjs'), '--check'], { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  expect(packages.length).toBeGreaterThan(50);
});

test.each([
  ['a licence that asks for more', { license: 'AGPL-3.0' }],
  ['a choice of two of which neither is allowed', { license: 'GPL-2.0 OR GPL-3.0' }],
  ['no licence', { license: undefined }],
  ['a licence for tools alone', { license: 'MPL-2.0' }],
  ['an install script', { hasInstallScript: true }],
])('%s is found', (_, wrong) => {
  expect(faultsOf([innocent])).toEqual([]);
  expect(faultsOf([{ ...innocent, license: 'GPL-3.0 OR MIT' }])).toEqual([]);
  expect(faultsOf([{ ...innocent, ...wrong } as Package])).toHaveLength(1);
});

test('set-up runs no install script', () => {
  expect(readFileSync(join(root, 'scripts/setup.mjs'), 'utf8')).toContain("['install', '--ignore-scripts',");
});

test('the bill of materials of a release has what is installed, and nothing else', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'scripts/sbom.mjs')], { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  const { components, metadata } = JSON.parse(stdout) as {
    components: { name: string; version: string; purl: string }[];
    metadata: { component: { name: string } };
  };
  expect(metadata.component.name).toBe('fedstream');
  const listed = new Set(components.map(({ name, version }) => `${name}@${version}`));
  const expected = packages.filter(({ need }) => need !== 'tool').map(({ name, version }) => `${name}@${version}`);
  expect([...listed].sort()).toEqual([...new Set(expected)].sort());
  expect(components.every(({ purl }) => purl.startsWith('pkg:npm/'))).toBe(true);
});
