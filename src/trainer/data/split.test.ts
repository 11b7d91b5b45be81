// Splits of samples among sites: nothing lost, nothing twice, the same for the same seed.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Sample } from './sample.js';
import { holdOut, type Split, splitSamples } from './split.js';

const samples = (count: number, categories = 0): Sample[] =>
  Array.from({ length: count }, (_, i) => ({
    prompt: `p${i}`,
    answer: 'x'.repeat(1 + ((i * 7) % 40)),
    ...(categories ? { category: `c${i % categories}` } : {}),
  }));
const names = (count: number) => Array.from({ length: count }, (_, i) => `site-${i + 1}`);
const sizes = (parts: Map<string, Sample[]>) => [...parts.values()].map((part) => part.length);

test('every split gives every sample to exactly one site, and the same again for one seed', () => {
  const alpha = fc.constantFrom<Split>('iid', { dirichlet: 0.3 }, { dirichlet: 1 }, { dirichlet: 50 });
  fc.assert(
    fc.property(
      alpha,
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 60, max: 200 }),
      fc.integer({ min: 0, max: 5 }),
      fc.nat(),
      (how, sites, count, categories, seed) => {
        const all = samples(count, categories);
        let parts: Map<string, Sample[]>;
        try {
          parts = splitSamples(all, names(sites), how, seed);
        } catch (error) {
          expect(error).toMatchObject({ code: 'bad-data', message: expect.stringMatching(/leave site-\d without any/) });
          return;
        }
        expect([...parts.keys()]).toEqual(names(sites));
        expect(
          [...parts.values()]
            .flat()
            .map(({ prompt }) => prompt)
            .sort(),
        ).toEqual(all.map(({ prompt }) => prompt).sort());
        expect(splitSamples(all, names(sites), how, seed)).toEqual(parts);
      },
    ),
    { seed: 1 },
  );
});

test('one site gets all samples in the order given', () => {
  for (const how of ['iid', 'category', { dirichlet: 0.1 }] as const)
    expect(splitSamples(samples(9), ['only'], how, 3)).toEqual(new Map([['only', samples(9)]]));
});

test('iid shares are equal but for one, and differ from seed to seed', () => {
  const parts = splitSamples(samples(100), names(3), 'iid', 1);
  expect(sizes(parts)).toEqual([34, 33, 33]);
  expect(splitSamples(samples(100), names(3), 'iid', 2)).not.toEqual(parts);
});

test('by category, whole categories are dealt by name', () => {
  const parts = splitSamples(samples(50, 5), names(2), 'category', 1);
  const found = [...parts.values()].map((part) => [...new Set(part.map(({ category }) => category))].sort());
  expect(found).toEqual([
    ['c0', 'c2', 'c4'],
    ['c1', 'c3'],
  ]);
});

test('a small alpha keeps a category at one site, a large one spreads it', () => {
  const shares = (alpha: number, seed: number): number => {
    const parts = splitSamples(samples(4000, 40), names(4), { dirichlet: alpha }, seed);
    let most = 0;
    for (let c = 0; c < 40; c++) {
      const counts = [...parts.values()].map((part) => part.filter(({ category }) => category === `c${c}`).length);
      most += Math.max(...counts) / 100 / 40;
    }
    return most;
  };
  expect(shares(0.001, 1)).toBeGreaterThan(0.98);
  expect(shares(1000, 1)).toBeLessThan(0.3);
  // Draws too small for a number still fall to any site, not always to the last.
  expect(Math.min(...sizes(splitSamples(samples(4000, 400), names(4), { dirichlet: 1e-9 }, 1)))).toBeGreaterThan(500);
});

test('without categories, Dirichlet shares out quarters by the length of the answer', () => {
  const parts = splitSamples(samples(4000), names(2), { dirichlet: 0.001 }, 2);
  for (const part of parts.values()) {
    const quarters = new Set(part.map(({ answer }) => Math.floor((answer.length - 1) / 10)));
    expect(part.length / quarters.size).toBeGreaterThan(950);
  }
});

test('a site without samples is an error that says what to do', () => {
  expect(() => splitSamples(samples(2), names(3), 'iid', 1)).toThrow(
    /2 samples split among 3 sites leave site-3 without any; use fewer sites/,
  );
  expect(() => splitSamples(samples(9, 2), names(3), 'category', 1)).toThrow(/leave site-3 without any/);
  expect(() => splitSamples(samples(9), names(2), 'category', 1)).toThrow(/needs a "category" in every sample/);
});

test('a category may have more samples than a call takes arguments', () => {
  for (const how of ['category', { dirichlet: 0.5 }] as const) {
    const all = samples(300_000, 2);
    expect(sizes(splitSamples(all, names(2), how, 5)).reduce((a, b) => a + b)).toBe(300_000);
  }
});

test('held-out samples are not in the training data, which keeps its order', () => {
  const all = samples(100);
  const { training, validation } = holdOut(all, 0.2, 15, 9);
  expect(validation).toHaveLength(15);
  expect(holdOut(all, 0.2, 400, 9).validation).toHaveLength(20);
  const held = new Set(validation);
  expect(training).toEqual(all.filter((sample) => !held.has(sample)));
  expect(holdOut(all, 0.2, 15, 9)).toEqual({ training, validation });
  expect(holdOut(all, 0.2, 15, 10).validation).not.toEqual(validation);
  expect(holdOut(samples(1), 0.5, 9, 1).training).toHaveLength(1);
  expect(holdOut(samples(2), 1, 9, 1).training).toHaveLength(1);
});
