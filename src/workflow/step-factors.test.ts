// FedNova's factors by hand, and what a site can reach by claiming steps.
import { expect, test } from 'vitest';
import { BUDGETS } from '../core/budgets.js';
import { randomStream } from '../core/random.js';
import { accumulated, type Stepped, stepFactors } from './step-factors.js';

const claims = (steps: readonly number[], weights: readonly number[] = steps.map(() => 1)): Stepped[] =>
  steps.map((count, i) => ({ site: String.fromCharCode(97 + i), weight: weights[i] as number, steps: count }));
const factors = (...given: Parameters<typeof claims>): number[] => stepFactors(claims(...given)).map(({ factor }) => factor);
test('equal steps leave updates as they are', () => {
  expect(factors([7, 7, 7], [1, 5, 100])).toEqual([1, 1, 1]);
  expect(factors([3])).toEqual([1]);
});

test('τ_eff / τ by hand', () => {
  // p = 1/4, 1/4, 1/2; τ_eff = 10/4 + 20/4 + 30/2 = 22.5.
  expect(factors([10, 20, 30], [1, 1, 2])).toEqual([22.5 / 10, 22.5 / 20, 22.5 / 30].map((value) => expect.closeTo(value, 12)));
});

test('steps with momentum are as long as the paper says', () => {
  // The velocity after k steps of gradient 1 is 1 + ρ + … + ρ^(k−1).
  let velocity = 0;
  let length = 0;
  for (let step = 0; step < 9; step++) {
    velocity = 0.9 * velocity + 1;
    length += velocity;
  }
  expect(accumulated(9, 0.9)).toBeCloseTo(length, 12);
  expect(accumulated(9, 0)).toBe(9);
  const [a, b] = stepFactors(claims([2, 3]), 0.9);
  expect((a?.factor as number) / (b?.factor as number)).toBeCloseTo((1 + 1.9 + 2.71) / 2.9, 12);
});

test('an honest site of few steps has a short update, which is not cut', () => {
  const honest = claims([2, 50, 80]).map((one) => ({ ...one, norm: 0.1 * one.steps }));
  expect(stepFactors(honest)).toEqual(
    [2, 50, 80].map((steps, i) => ({ site: 'abc'[i], factor: expect.closeTo(44 / steps, 12), isCut: false })),
  );
});

test('a site that claims one step for a long update moves the model no farther than all others', () => {
  const moved = (count: number, share = 1): number[] => {
    const given = [1, ...Array.from({ length: count }, () => 1000)].map((steps, i) => ({
      site: `s${i}`,
      weight: i === 0 ? share : 1,
      steps,
      norm: 7,
    }));
    return stepFactors(given).map(({ factor }, i) => factor * (given[i] as Stepped).weight);
  };
  for (const count of [2, 5, 40]) {
    const [first, ...others] = moved(count) as [number, ...number[]];
    expect(first).toBeCloseTo(
      others.reduce((sum, one) => sum + one, 0),
      9,
    );
  }
  const [one, other] = moved(1) as [number, number];
  expect(one).toBeCloseTo(4 * other, 9);
});

test('a site that claims a billion steps does not make the common step long (budget manySteps)', () => {
  for (const weights of [
    [1, 1, 1],
    [1, 1, 2],
  ]) {
    const found = factors([100, 100, 1e9], weights);
    const length = (weights[0] as number) / weights.reduce((sum, one) => sum + one, 0);
    expect(found[0] as number).toBeLessThanOrEqual(1 + (BUDGETS.manySteps.limit - 1) * (1 - 2 * length));
    expect(found[2] as number).toBeLessThan(1e-6);
  }
});

test('whatever is claimed: factors are finite, no result is above its share, and order has no effect', () => {
  const random = randomStream(3, 'steps');
  for (let round = 0; round < 300; round++) {
    const count = 2 + random.integer(12);
    const given = claims(
      Array.from({ length: count }, () => 1 + random.integer(2 ** (1 + random.integer(30)))),
      Array.from({ length: count }, () => 1 + random.integer(100)),
    ).map((one) => ({ ...one, ...(round % 3 > 0 && { norm: random.integer(5) / 2 }) }));
    const found = stepFactors(given);
    const lengths = found.map(({ factor }, i) => factor * (given[i] as Stepped).weight * ((given[i] as Stepped).norm ?? 1));
    const total = lengths.reduce((sum, one) => sum + one, 0);
    const weights = given.map(({ weight }) => weight);
    const most = Math.max(count === 2 ? 0.8 : 0.5, Math.max(...weights) / weights.reduce((sum, one) => sum + one, 0));
    expect(found.every(({ factor }) => factor > 0 && Number.isFinite(factor))).toBe(true);
    const others = lengths.filter((length) => length > 0).length;
    if (others > 2) expect(Math.max(...lengths)).toBeLessThanOrEqual(most * total * (1 + 1e-9));
    const turned = [...stepFactors([...given].reverse())].reverse();
    expect(turned.map(({ factor }) => factor)).toEqual(found.map(({ factor }) => expect.closeTo(factor, 9)));
  }
});
