// The weights of q-FedAvg against the paper's update, and what a site can reach by claiming a loss.
import { expect, test } from 'vitest';
import { fairWeights } from './fair-weights.js';

const results = (losses: readonly number[], weights: readonly number[] = losses.map(() => 1), norms: readonly number[] = []) =>
  losses.map((loss, i) => ({ site: `s${i}`, loss, weight: weights[i] as number, norm: norms[i] }));

test('with q 0 the weights are those of FedAvg, and the step is whole', () => {
  const { weights, step } = fairWeights(results([1, 5, 9], [1, 1, 2], [3, 4, 5]), { q: 0, lipschitz: 7 });
  expect(weights.map(({ weight }) => weight)).toEqual([0.25, 0.25, 0.5]);
  expect(step).toBe(1);
});

test('step and weights together are the update of the paper', () => {
  const [losses, shares, norms, changes] = [
    [1.5, 1.1, 2],
    [0.3, 0.4, 0.3],
    [0.7, 0.2, 0.4],
    [-0.5, 0.1, 0.3],
  ] as const;
  const [q, lipschitz] = [1.7, 20];
  // Δₖ = Fₖ^q L dₖ and hₖ = q Fₖ^(q−1) L² ‖dₖ‖² + L Fₖ^q, each weighted by pₖ.
  const sums = losses.map((loss, k) => ({
    delta: (shares[k] as number) * loss ** q * lipschitz * (changes[k] as number),
    h: (shares[k] as number) * (q * loss ** (q - 1) * lipschitz ** 2 * (norms[k] as number) ** 2 + lipschitz * loss ** q),
  }));
  const expected = sums.reduce((sum, { delta }) => sum + delta, 0) / sums.reduce((sum, { h }) => sum + h, 0);
  const { weights, step } = fairWeights(results(losses, shares, norms), { q, lipschitz });
  const total = weights.reduce((sum, { weight }) => sum + weight, 0);
  const mean = weights.reduce((sum, { weight }, k) => sum + (weight / total) * (changes[k] as number), 0);
  expect(step).toBeLessThan(1);
  expect(step * mean).toBeCloseTo(expected, 12);
});

test('a site that claims a huge loss counts for no more than all others, and powers stay numbers', () => {
  for (const loss of [1e3, 1e99]) {
    const { weights, step } = fairWeights(results([2, loss, 2, 2]), { q: 100, lipschitz: 1 });
    const [first, liar, ...others] = weights.map(({ weight }) => weight) as [number, number, ...number[]];
    expect(liar).toBeLessThanOrEqual((first + others.reduce((sum, one) => sum + one, 0)) * (1 + 1e-9));
    expect(step).toBe(1);
    for (const { weight } of weights) expect(weight).toBeGreaterThan(0);
  }
  expect(fairWeights(results([0, 0]), { q: 2 })).toMatchObject({ weights: [{ weight: 0.5 }, { weight: 0.5 }], step: 1 });
});
