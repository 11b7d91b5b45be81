// The release is that of package.json, and releases have an order.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { compareReleases, RELEASE, RELEASE_PATTERN } from './release.js';

test('the release is the version of the package', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  expect(RELEASE).toBe(version);
  expect(RELEASE).toMatch(RELEASE_PATTERN);
});

test('releases are compared by number, and a pre-release comes before its release', () => {
  const inOrder = ['0.1.0', '0.2.0-alpha.1', '0.2.0-beta', '0.2.0', '0.10.0', '1.0.0-rc.1', '1.0.0', '10.0.0'];
  for (const [i, one] of inOrder.entries())
    for (const [j, other] of inOrder.entries())
      expect(Math.sign(compareReleases(one, other)), `${one} and ${other}`).toBe(Math.sign(i - j));
});
