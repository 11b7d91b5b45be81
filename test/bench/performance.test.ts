// The tables of docs/performance.md are those of the rows in the tree, and a knee in a curve is found.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

type Row = Readonly<Record<string, unknown>>;
type Points = readonly (readonly [number, number])[];

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const load = (path: string): Promise<unknown> => import(at(path));
const { readRows } = (await load('bench/peers/rows.mjs')) as { readRows(file: string): Row[] };
const { tablesOf } = (await load('bench/peers/tables.mjs')) as { tablesOf(rows: readonly Row[]): string };
const { withPart } = (await load('bench/peers/page.mjs')) as { withPart(page: string, name: string, text: string): string };
const { curveTables } = (await load('bench/curves/tables.mjs')) as { curveTables(rows: readonly Row[]): string };
const { isFlat, knees, lineThrough } = (await load('bench/curves/lines.mjs')) as {
  isFlat(values: readonly number[]): boolean;
  knees(points: Points): { from: number; to: number; times: number }[];
  lineThrough(points: Points): { slope: number; start: number };
};
const page = readFileSync(at('docs/performance.md'), 'utf8');

test('the tables about the peers are those of their rows', () => {
  const rows = readRows(at('bench/peers/results.jsonl'));
  expect(withPart(page, 'bench/peers.mjs', tablesOf(rows)), 'run node bench/peers.mjs --docs').toBe(page);
});

test('the cost curves are those of their rows', () => {
  const rows = readRows(at('bench/curves/results.jsonl'));
  expect(withPart(page, 'bench/curves.mjs', curveTables(rows)), 'run node bench/curves.mjs --docs').toBe(page);
});

test('a table has the least and the largest of the turns of a peer, from the largest scale alone', () => {
  const row = {
    section: 'rounds',
    peer: 'NVFlare',
    form: 'fp32',
    mib: 512,
    sites: 3,
    totalSeconds: 30,
    load: [0.5, 1],
    date: '2026-01-31',
  };
  const rows = [
    { ...row, scale: 'full', repeat: 1, seconds: 17.4, serverMiB: 3818, siteMiB: 1800 },
    { ...row, scale: 'full', repeat: 2, seconds: 18.25, serverMiB: 3879, siteMiB: 1800 },
    { ...row, scale: 'small', repeat: 1, seconds: 5, serverMiB: 900, siteMiB: 500 },
  ];
  expect(tablesOf(rows).split('\n').at(-1)).toBe('| NVFlare | fp32 | 17.4 to 18.3 | 30 | 3,818 to 3,879 | 1,800 |');
  expect(tablesOf(rows).replaceAll('\n', ' ')).toContain('2 turns each, alternating; load 0.5 to 1.');
});

describe('a curve', () => {
  const straight: Points = [
    [1, 3],
    [2, 5],
    [4, 9],
    [8, 17],
  ];

  test('has the slope of its points', () => {
    expect(lineThrough(straight)).toEqual({ slope: 2, start: 1 });
    expect(knees(straight)).toEqual([]);
  });

  test('has a knee where it becomes three times as steep, or levels off', () => {
    expect(knees([...straight.slice(0, 3), [8, 33]])).toEqual([{ from: 4, to: 8, times: 3 }]);
    expect(knees([...straight.slice(0, 3), [8, 9.5]])).toEqual([{ from: 4, to: 8, times: 0.0625 }]);
  });

  test('is straight in spite of noise, and needs three points for a knee', () => {
    expect(knees([...straight.slice(0, 3), [8, 18.5]])).toEqual([]);
    expect(knees(straight.slice(0, 2))).toEqual([]);
  });

  test('of memory is flat within the noise of a heap', () => {
    expect(isFlat([170, 180, 199])).toBe(true);
    expect(isFlat([170, 180, 230])).toBe(false);
  });
});
