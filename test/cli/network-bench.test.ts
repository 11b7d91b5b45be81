// The benchmarks of drivers and networks at a small size: the data arrives, and the page is
// complete. Times are not checked.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { SCHEMES } from '../../src/driver/scheme.js';
import { breadth } from '../breadth.js';

const script = (name: string): string => fileURLToPath(new URL(`../../bench/${name}`, import.meta.url));

const MEASURED = breadth<readonly string[]>(SCHEMES, ['tcp', 'https']);

test('every driver is measured against its bare library, both ways', { timeout: 240_000 }, () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [script('drivers.mjs'), '--only', MEASURED.join(), '--mib', '8', '--warm-mib', '2', '--tries', '1', '--json'],
    {
      encoding: 'utf8',
    },
  );
  expect(status, stderr).toBe(0);
  const rows = JSON.parse(stdout) as { scheme: string; direction: string; ratio: number; gbps: number }[];
  expect(rows.map(({ scheme, direction }) => `${scheme} ${direction}`).sort()).toEqual(
    MEASURED.flatMap((scheme) => [`${scheme} down`, `${scheme} up`]).sort(),
  );
  for (const row of rows) expect(row.ratio).toBeGreaterThan(0);
});

test('the page of networks has a row for each measurement and a plot for each rate', async () => {
  const { networkPage, plotsOf } = (await import(script('network/page.mjs'))) as {
    plotsOf(rows: unknown[]): Record<string, string>;
    networkPage(rows: unknown[], plots: string[]): string;
  };
  const rates = { megabytes: 200, seconds: 17, first: 0.9, next: 0.95, flow: 0.97, nf4Speedup: 6.9 };
  const figures = { ...rates, controlP99Ms: 12, controlFirstP99Ms: 14, emulator: 'link.c', congestion: 'bbr' };
  const cells = [
    { scheme: 'tcp', stripes: 1 },
    { scheme: 'ws', stripes: 1 },
    { scheme: 'tcp', stripes: 1, chunkBytes: 64 * 1024 },
    { scheme: 'tcp', stripes: 1, chunkBytes: 4096 * 1024 },
    { scheme: 'tcp', stripes: 1, large: true },
    { scheme: 'tcp', stripes: 4 },
  ];
  const rows = [50, 1000].flatMap((mbit) =>
    [1, 200].flatMap((roundTripMs) =>
      [0, 1].flatMap((lossPercent) => cells.map((cell) => ({ mbit, roundTripMs, lossPercent, ...cell, ...figures }))),
    ),
  );
  const plots = plotsOf(rows);
  const names = ['network-50-mbit', 'network-50-mbit-chunks', 'network-1000-mbit', 'network-1000-mbit-chunks'];
  expect(Object.keys(plots)).toEqual(names.map((name) => `${name}.svg`));
  for (const svg of Object.values(plots)) {
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    expect(svg).not.toMatch(/NaN|undefined/);
  }
  const page = networkPage(rows, Object.keys(plots));
  const sections = page.split(/^## /m).slice(1);
  const lines = sections.map((section) => [section.split('\n')[0], section.match(/^\| \d+ Mbit/gm)?.length]);
  // Both drivers, and models of both losses, over 8 links; 1 and 4 stripes over 8 links; a line for
  // each link for both chunk sizes.
  expect(lines).toEqual([
    ['Drivers', 16],
    ['Models that fill the link for 200 round trips', 8],
    ['Stripes', 16],
    ['Sizes of chunks', 8],
  ]);
  expect(page).toContain('| nf4 at least 6.5 × sooner, no loss, models of 200 MB and 200 round trips | 8 of 8 |');
  expect(page).toContain('| the same with 200 MB | 8 of 8 |');
  expect(page).not.toMatch(/NaN|undefined/);
});

test.each([
  ['drivers.mjs', ['--only', 'http,ftp'], "option '--only <list>' argument 'http,ftp' is invalid. ftp is none of tcp,"],
  ['network.mjs', ['--chunks', 'auto,3'], "option '--chunks <list>' argument 'auto,3' is invalid. 3 is none of auto,"],
  ['soak.mjs', ['--rounds', '0'], "option '--rounds <number>' argument '0' is invalid. It must be a whole number from 1 on."],
  ['hand-over.mjs', ['--mb', 'much'], "option '--mb <number>' argument 'much' is invalid. It must be a number above 0."],
])('%s has --help, and names a wrong value', (name, wrong, message) => {
  const run = (args: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [script(name), ...args], { encoding: 'utf8' });
  const help = run(['--help']);
  expect(help.status).toBe(0);
  expect(help.stdout).toContain(`Usage: node bench/${name} [options]`);
  const failed = run(wrong);
  expect(failed.status).toBe(2);
  expect(failed.stderr).toContain(message);
  expect(failed.stderr).toContain('--help shows what there is');
});

test.skipIf(process.getuid?.() === 0)('without root, a network bench says so in one line', () => {
  const { status, stderr } = spawnSync(process.execPath, [script('network.mjs'), '--quick'], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toBe('bench/network: network namespaces need root; run it as root\n');
});
