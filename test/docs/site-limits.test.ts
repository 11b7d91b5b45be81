// The page of the site's file has every field of its limits, with the defaults of the code.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { DEFAULT_LIMITS, limitsSchema } from '../../src/site/limits.js';
import { shareSchema } from '../../src/site/share.js';

const page = readFileSync(fileURLToPath(new URL('../../docs/site.md', import.meta.url)), 'utf8');
const rows = new Map([...page.matchAll(/^\| `(\w+)` \| ([^|]+) \|/gm)].map(([, name, value]) => [name, value?.trim()]));

test('docs/site.md has the limits and their defaults', () => {
  for (const name of Object.keys(limitsSchema.shape)) {
    const value = (DEFAULT_LIMITS as Record<string, number>)[name];
    expect(rows.get(name), name).toMatch(value === undefined ? /^(all|0\.8 of the machine's)$/ : new RegExp(`^${value}$`));
  }
});

test('docs/site.md has an example with every field of share', () => {
  const example = /^\{ "share": .*\}$/m.exec(page)?.[0] ?? '';
  const { share } = JSON.parse(example) as { share: object };
  expect(Object.keys(share).sort()).toEqual(Object.keys(shareSchema.shape).sort());
  expect(shareSchema.parse({})).toEqual({ errors: false, steps: true });
});
