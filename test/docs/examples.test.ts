// The README of examples/hf-sft shows the difference between its two scripts as it is.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (name: string): string[] => readFileSync(new URL(`../../examples/hf-sft/${name}`, import.meta.url), 'utf8').split('\n');

test('the diff turns the one into the other', () => {
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
