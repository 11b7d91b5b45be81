// The benchmarks of drivers and networks at a small size: what they move arrives, and what they write is whole. No time is looked at.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { SCHEMES } from '../../src/driver/scheme.js';

const script = (name: string): string => fileURLToPath(new URL(`../../bench/${name}`, import.meta.url));

test('every driver is measured against its bare library, both ways', { timeout: 240_000 }, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script('drivers.mjs'), '--mib', '8', '--tries', '1', '--json'], {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  const rows = JSON.parse(stdout) as { scheme: string; direction: string; ratio: number; gbps: number }[];
  expect(rows.map(({ scheme, direction }) => `${scheme} ${direction}`).sort()).toEqual(
    SCHEMES.flatMap((scheme) => [`${scheme} down`, `${scheme} up`]).sort(),
  );
  for (const row of rows) expect(row.ratio).toBeGreaterThan(0);
});

test('the page of networks has a row a measurement and a plot a rate', async () => {
  const { networkPage, plotsOf } = (await import(script('network/page.mjs'))) as {
    plotsOf(rows: unknown[]): Record<string, string>;
    networkPage(rows: unknown[], how: Record<string, unknown>): string;
  };
  const figures = { megabytes: 200, first: 0.9, next: 0.95, nf4Speedup: 6.9, controlP99Ms: 12, seconds: 17 };
  const rows = [50, 1000].flatMap((mbit) =>
    [1, 200].flatMap((roundTripMs) => ['tcp', 'ws'].map((scheme) => ({ mbit, roundTripMs, lossPercent: 0, scheme, ...figures }))),
  );
  const plots = plotsOf(rows);
  expect(Object.keys(plots)).toEqual(['network-50-mbit.svg', 'network-1000-mbit.svg']);
  for (const svg of Object.values(plots)) {
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    expect(svg).not.toMatch(/NaN|undefined/);
  }
  const page = networkPage(rows, { emulator: 'link.c', congestion: 'bbr', plots: Object.keys(plots), quick: true });
  expect(page.match(/^\| \d+ Mbit/gm)).toHaveLength(rows.length);
  expect(page).not.toMatch(/NaN|undefined/);
});

test.skipIf(process.getuid?.() === 0)('without root, a network bench says so in one line', () => {
  const { status, stderr } = spawnSync(process.execPath, [script('network.mjs'), '--quick'], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toBe('bench/network: network namespaces need root; run it as root\n');
});
