// Weights from claims: honest ones to the bit, others within the bounds.
import { expect, test } from 'vitest';
import { randomStream } from '../core/random.js';
import { checkedJob } from '../job/job.js';
import type { WeightsInput } from '../job/weights.js';
import { sampleWeights } from './aggregate/mean.js';
import { siteMean } from './site-mean.js';
import { weightsOf } from './weights.js';

const HUGE = 2 ** 53 - 1;

function rule(weights: WeightsInput, sites: string[] = ['a', 'b', 'c']) {
  return checkedJob({ weights, sites }, 'test').weights;
}

function weights(samples: readonly number[], input: WeightsInput = 'samples'): number[] {
  const claims = samples.map((claimed, index) => ({ site: String.fromCharCode(97 + index), samples: claimed }));
  return weightsOf(claims, rule(input)).map(({ weight }) => weight);
}

test.each([[[1]], [[HUGE]], [[1800, 1800, 1800]], [[1, 2, 3]], [[100, 400]], [[10, 20, 15]], [[9, 9, 900, 900]], [[1000, 10, 10, 990]]])(
  'claims that no site outweighs all others with keep their bits: %j',
  (samples) => {
    expect(weights(samples)).toEqual(samples);
  },
);

test('a claim counts for no more than all the others together', () => {
  expect(weights([1800, HUGE, 1700])).toEqual([1800, 3500, 1700]);
  expect(weights([10, 1000, 10])).toEqual([10, 20, 10]);
});

test('of two results the larger one counts for four times the other', () => {
  expect(weights([100, HUGE])).toEqual([100, 400].map((value) => expect.closeTo(value, 9)));
});

test('among many sites the median bounds a claim', () => {
  const samples = Array.from({ length: 1000 }, () => 50);
  expect(weights([...samples, HUGE]).at(-1)).toBe(5000);
  expect(weights([...samples, HUGE, HUGE]).slice(-2)).toEqual([5000, 5000]);
  expect(weights([...samples, 4900]).at(-1)).toBe(4900);
});

test('a job may set both bounds', () => {
  expect(weights([10, 10, 1000], { type: 'samples', share: 1 })).toEqual([10, 10, 1000]);
  expect(weights([10, 10, 1000], { type: 'samples', share: 0.8 })).toEqual([10, 10, 80].map((value) => expect.closeTo(value, 9)));
  expect(weights([10, 10, 10, 1000], { type: 'samples', times: 2 })).toEqual([10, 10, 10, 20]);
  // No numbers give each of three sites less than a third: they count alike.
  expect(weights([10, 20, 1000], { type: 'samples', share: 0.3 })).toEqual([10, 10, 10]);
});

test('with `equal`, and with numbers by site, claims count for nothing', () => {
  expect(weights([1, HUGE, 3], 'equal')).toEqual([1, 1, 1]);
  expect(weights([1, HUGE, 3], { a: 1000, b: 2, c: 0.5 })).toEqual([1000, 2, 0.5]);
});

test('a claim that counts for less is told', () => {
  const found = weightsOf(
    [
      { site: 'a', samples: 5 },
      { site: 'b', samples: HUGE },
      { site: 'c', samples: 4 },
    ],
    rule('samples'),
  );
  expect(found).toEqual([
    { site: 'a', weight: 5 },
    { site: 'b', weight: 9, claimed: HUGE },
    { site: 'c', weight: 4 },
  ]);
});

test('whatever is claimed: weights are above 0, no share is above the bound, and order has no effect', () => {
  const random = randomStream(5, 'claims');
  for (let round = 0; round < 2000; round++) {
    const count = 3 + random.integer(30);
    const claims = Array.from({ length: count }, (_, i) => ({
      site: `s${String(i).padStart(2, '0')}`,
      samples: 1 + random.integer(2 ** (1 + random.integer(30))) * 2 ** random.integer(22),
    }));
    const share = round % 2 === 0 ? 0.5 : 1 / count + (random.integer(1000) / 1000) * (1 - 1 / count);
    const found = weightsOf(claims, { type: 'samples', share, times: 100 });
    const shares = sampleWeights(found.map(({ site, weight }) => ({ site, samples: weight })));
    expect(Math.min(...shares)).toBeGreaterThan(0);
    expect(Math.max(...shares)).toBeLessThanOrEqual(share * (1 + 1e-6));
    expect(shares.reduce((sum, one) => sum + one, 0)).toBeCloseTo(1, 4);
    for (const [index, { weight }] of found.entries()) expect(weight).toBeLessThanOrEqual((claims[index] as { samples: number }).samples);
    const turned = weightsOf([...claims].reverse(), { type: 'samples', share, times: 100 });
    expect([...turned].reverse()).toEqual(found);
  }
});

test.each([
  [{ a: 1, b: 2 }, 'weights: c has no number'],
  [{ a: 1, b: 2, c: 3, d: 4 }, 'weights: d is not a site of this job'],
  [{ a: 1, b: 2, c: -3 }, 'weights.c'],
  [{ a: 1, b: 2, c: 0 }, 'weights.c'],
  [{ a: 1, b: 2, c: 1e308 }, 'weights.c'],
  [{ a: 1, b: 2, c: Number.NaN }, 'weights.c'],
  ['most', 'weights: must be "samples", "equal"'],
  [7, 'weights'],
  [{ type: 'samples', share: 0 }, 'weights.share'],
  [{ type: 'samples', times: 0.5 }, 'weights.times'],
  [{ type: 'equal', share: 0.5 }, 'weights'],
])('a job with weights %j is refused', (input, message) => {
  expect(() => rule(input as WeightsInput)).toThrowError(
    expect.objectContaining({ code: 'bad-job', message: expect.stringContaining(message) }),
  );
});

test('a job that was read is the same when it is read again, and a site may be called type', () => {
  for (const input of ['samples', 'equal', { a: 1, b: 2, c: 3 }] as WeightsInput[])
    expect(rule(rule(input) as WeightsInput)).toEqual(rule(input));
  expect(rule({ type: 5, sites: 6 }, ['type', 'sites'])).toEqual({ type: 'sites', sites: { type: 5, sites: 6 } });
});

test('one site does not own the mean of evaluations', () => {
  const evaluated = (site: string, loss: number, samples: number) => {
    const figures = { task: 't', samples: 1, steps: 0, trainLoss: 0, counts: {}, evaluation: { loss, samples } };
    return { site, status: 'done', reply: { site, figures, extras: {} } } as const;
  };
  const outcomes = [evaluated('a', 1, 30), evaluated('b', 2, 10), evaluated('c', 100, 1e11)];
  expect(siteMean(outcomes, rule('samples'))).toEqual({ loss: (50 + 40 * 100) / 80, samples: 80 });
  expect(siteMean(outcomes.slice(0, 2), rule('samples'))).toEqual({ loss: 50 / 40, samples: 40 });
  expect(siteMean(outcomes, rule({ a: 3, b: 1, c: 1e-6 }))?.loss).toBeCloseTo(1.25, 3);
});
