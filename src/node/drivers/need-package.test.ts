// A missing package is one clear error, and no driver loads one before its scheme is used.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { needPackage } from './need-package.js';

test('says what needs it and how to get it', async () => {
  const missing = needPackage('no-such-package', 'xyz://', () => import('no-such-package' as string));
  await expect(missing).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringContaining('xyz:// needs the package no-such-package'),
  });
  await expect(missing).rejects.toThrow('npm install no-such-package');
});

test('making the whole table loads none of them', () => {
  const table = fileURLToPath(new URL('../../../dist/node/drivers/node-drivers.js', import.meta.url));
  const script = `
    await (await import(${JSON.stringify(table)})).nodeDrivers();
    const { Module } = await import('node:module');
    console.log(Object.keys(Module._cache ?? {}).filter((path) => /node_modules.ws|x509/.test(path)).length);
  `;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  expect(stdout.trim()).toBe('0');
  const loaded = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', script.replace('const { Module }', "await import('ws'); const { Module }")],
    {
      encoding: 'utf8',
      cwd: fileURLToPath(new URL('../../..', import.meta.url)),
    },
  );
  expect(Number(loaded.stdout.trim())).toBeGreaterThan(0); // the check sees what is loaded
});
