// The statistics of the studies, against values computed with mpmath to twenty digits, by hand, and
// in published tables.
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

interface Tests {
  readonly count: number;
  readonly mean: number;
  readonly deviation: number;
  readonly interval: readonly [number, number];
  readonly difference: number;
  readonly equivalence: number;
  readonly nonInferiority: number;
}
type Row = { arm: string; seed: number; value: number };

const load = (name: string): Promise<unknown> => import(fileURLToPath(new URL(`../../bench/evidence/${name}`, import.meta.url)));
const { tTail, tQuantile, equivalencePower } = (await load('student.mjs')) as {
  tTail(t: number, freedom: number): number;
  tQuantile(p: number, freedom: number): number;
  equivalencePower(of: { count: number; deviation: number; margin: number }): number;
};
const { pairedTests, holm, compareArms, MARGIN } = (await load('statistics.mjs')) as {
  pairedTests(differences: readonly number[], margin?: number): Tests;
  holm(values: readonly number[]): number[];
  compareArms(rows: readonly Row[]): (Tests & { arm: string; verdict: string })[];
  MARGIN: number;
};

test.each([
  [1, 1, 0.25],
  [2, 4, 0.058058261758408],
  [2.5, 7, 0.020496109292876],
  [0.3, 9, 0.38549535187076],
  [12, 5, 3.5447462585808e-5],
  [40, 3, 1.7190340394579e-5],
])("the probability that Student's t is above %d with %d degrees of freedom", (t, freedom, tail) => {
  expect(tTail(t, freedom) / tail).toBeCloseTo(1, 10);
  expect(tTail(-t, freedom)).toBeCloseTo(1 - tail, 10);
});

test.each([
  [0.975, 1, 12.706204736175],
  [0.975, 4, 2.7764451051978],
  [0.95, 7, 1.89457860509],
  [0.025, 7, -2.3646242515928],
  [0.995, 2, 9.9248432009183],
])('the quantile %d with %d degrees of freedom', (p, freedom, t) => {
  expect(tQuantile(p, freedom)).toBeCloseTo(t, 9);
});

test.each([
  [8, 0.01, 0.6286653642],
  [8, 0.005, 0.9992225907],
  [6, 0.008, 0.6730519221],
  [5, 0.012, 0.1583144551],
  [3, 0.004, 0.7474422036],
])('the power of %d pairs that scatter by %d', (count, deviation, power) => {
  expect(equivalencePower({ count, deviation, margin: Math.log(1.01) })).toBeCloseTo(power, 3);
});

test('paired tests of four differences, by hand', () => {
  // Mean 0.003, deviation √(2e-5 / 3); the standard error is half of that.
  const tests = pairedTests([0.002, 0.006, 0, 0.004], 0.01);
  const error = Math.sqrt(2e-5 / 3) / 2;
  expect(tests.mean).toBeCloseTo(0.003, 12);
  expect(tests.deviation).toBeCloseTo(2 * error, 12);
  expect(tests.interval[0]).toBeCloseTo(0.003 - 3.182446305284263 * error, 10);
  expect(tests.interval[1]).toBeCloseTo(0.003 + 3.182446305284263 * error, 10);
  expect(tests.difference).toBeCloseTo(2 * tTail(0.003 / error, 3), 12);
  expect(tests.equivalence).toBeCloseTo(tTail(0.007 / error, 3), 12);
  expect(tests.nonInferiority).toBeCloseTo(tTail(0.007 / error, 3), 12);
  const better = pairedTests([-0.02, -0.024, -0.022], 0.01);
  expect(better.nonInferiority).toBeLessThan(0.01);
  expect(better.equivalence).toBeGreaterThan(0.99);
});

test('pairs without any scatter, and one pair alone', () => {
  expect(pairedTests([0, 0, 0])).toMatchObject({ difference: 1, equivalence: 0, nonInferiority: 0, interval: [0, 0] });
  expect(pairedTests([1, 1, 1])).toMatchObject({ difference: 0, equivalence: 1, nonInferiority: 1 });
  expect(pairedTests([0.5])).toEqual({ count: 1, mean: 0.5 });
});

test("Holm's adjustment, as in his paper's way: by rank, never falling, at most 1", () => {
  const adjusted = holm([0.01, 0.04, 0.03, 0.005]);
  for (const [index, value] of [0.03, 0.06, 0.06, 0.02].entries()) expect(adjusted[index]).toBeCloseTo(value, 12);
  expect(holm([0.9, 0.8])).toEqual([1, 1]);
  expect(holm([])).toEqual([]);
});

test('arms are compared over the seeds that both have, with a verdict in words', () => {
  const wobble = [0.001, -0.001, 0.0005, -0.0005, 0];
  const arm = (name: string, shift: number, spread = 1): Row[] =>
    wobble.map((one, seed) => ({ arm: name, seed, value: seed + shift + spread * one }));
  const rows = [
    ...arm('fp32', 0, 0),
    ...arm('same', 0.0001),
    ...arm('small', 0.004),
    ...arm('worse', 0.05),
    ...arm('better', -0.05),
    ...arm('noisy', 0, 30),
    { arm: 'same', seed: 99, value: 50 },
    { arm: 'once', seed: 1, value: 1.5 },
  ];
  const found = compareArms(rows);
  expect(found.map(({ arm: name, count, verdict }) => [name, count, verdict])).toEqual([
    ['same', 5, 'within 1 % of fp32; no significant difference'],
    ['small', 5, 'within 1 % of fp32; a little worse, significantly'],
    ['worse', 5, '**worse than fp32, significantly**'],
    ['better', 5, 'better than fp32, significantly'],
    ['noisy', 5, 'undecided: neither a difference nor equivalence is significant'],
    ['once', 1, 'one pair: no test'],
  ]);
  expect(MARGIN).toBeCloseTo(0.00995033, 8);
});
