// Every test file is in exactly one of the two projects, so that none is forgotten and none runs
// twice.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

test('fast and slow share out the suite', () => {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const env = { ...process.env, FEDSTREAM_SUITE: 'full' };
  const { stdout, stderr } = spawnSync(process.execPath, [vitest, 'list', '--filesOnly', '--json'], { cwd: root, encoding: 'utf8', env });
  const listed = JSON.parse(stdout || `"${stderr}"`) as { file: string; projectName: string }[];
  const there = ['src', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => join(folder, name)),
  );
  expect(listed.map(({ file }) => relative(root, file)).sort()).toEqual(there.sort());
  expect(new Set(listed.map(({ projectName }) => projectName))).toEqual(new Set(['fast', 'slow']));
});
