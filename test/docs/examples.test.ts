// The README of examples/hf-sft shows the true difference between its two scripts.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const read = (name: string): string[] => readFileSync(new URL(`../../examples/hf-sft/${name}`, import.meta.url), 'utf8').split('\n');

test('the diff turns one script into the other', () => {
  const readme = read('README.md').join('\n');
  const [, diff = ''] = /```diff\n([\s\S]*?)\n```/.exec(readme) ?? [];
  const lines = diff.split('\n').slice(2);
  const patched: string[] = [];
  const central = read('central.py');
  let at = 0;
  for (const line of lines) {
    const start = /^@@ -(\d+)/.exec(line)?.[1];
    if (start !== undefined) while (at < Number(start) - 1) patched.push(central[at++] as string);
    else if (line.startsWith('+')) patched.push(line.slice(1));
    else {
      expect(line.slice(1)).toBe(central[at]);
      if (!line.startsWith('-')) patched.push(line.slice(1));
      at++;
    }
  }
  patched.push(...central.slice(at));
  expect(patched).toEqual(read('sft.py'));
  // A federation is a few lines.
  expect(lines.filter((line) => line.startsWith('+')).length).toBeLessThanOrEqual(6);
});

test('examples/in-memory is a federation in at most 40 lines, and prints the right result', () => {
  const path = fileURLToPath(new URL('../../examples/in-memory/federation.ts', import.meta.url));
  expect(readFileSync(path, 'utf8').trimEnd().split('\n').length).toBeLessThanOrEqual(40);
  const jiti = fileURLToPath(new URL('../../node_modules/jiti/lib/jiti-cli.mjs', import.meta.url));
  const { stdout, stderr } = spawnSync(process.execPath, [jiti, path], { encoding: 'utf8' });
  expect(stderr).toBe('');
  // Each round covers 0.9 × 0.5 × 0.5 of the way to 2, the mean of the targets.
  const expected = 2 * (1 - 0.775 ** 8);
  for (const value of stdout.trim().split(' ')) expect(Number(value)).toBeCloseTo(expected, 2);
});
