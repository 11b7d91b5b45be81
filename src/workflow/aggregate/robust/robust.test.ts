// The robust aggregators against plain float64 code on random results: updates and whole weights,
// several tensors, uneven samples.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../../../codec/codec-table.js';
import { randomStream } from '../../../core/random.js';
import { choose } from '../../../core/row.js';
import { memoryStateDict } from '../../../tensor/memory-state-dict.js';
import type { StateDict } from '../../../tensor/state-dict.js';
import type { Aggregator } from '../aggregator.js';
import { ROBUST_AGGREGATORS } from './rows.js';

type Vector = readonly number[];
const SIZES = { a: 700, b: 13, c: 1 };
const TOTAL = 714;

/** A model of three tensors in chunks of 256, and a mask between them. */
function modelOf(values: Vector, mask = 1): StateDict {
  let at = 0;
  const tensors = Object.entries(SIZES).map(([name, size]) => {
    const data = Float32Array.from(values.slice(at, at + size));
    at += size;
    return { name, dtype: 'F32', shape: [size], data } as const;
  });
  const counters = { name: 'mask', dtype: 'U8', shape: [2], data: Uint8Array.of(mask, 0) } as const;
  const [first, ...rest] = tensors;
  return memoryStateDict([first as (typeof tensors)[0], counters, ...rest], { chunkElements: 256 });
}

async function valuesOf(model: StateDict): Promise<number[]> {
  const found: number[] = [];
  for await (const { tensor, bytes } of model.chunks()) if (tensor.dtype === 'F32') found.push(...new Float32Array(bytes.slice().buffer));
  return found;
}

/** Sites' updates: honest ones around one direction, and liars that are far away. */
function updatesOf(sites: number, liars: number, seed: number): number[][] {
  const random = randomStream(seed, 'updates');
  const way = Array.from({ length: TOTAL }, () => 0.01 * random.normal());
  return Array.from({ length: sites }, (_, site) =>
    way.map((value) => Math.fround((site < liars ? -10 * value : value) + 0.005 * random.normal())),
  );
}

interface Case {
  readonly updates: readonly Vector[];
  readonly samples: Vector;
  /** `rounded`: weights of sites whose dtypes could not hold all of the model. */
  readonly kind: 'updates' | 'weights' | 'rounded';
}

const previous = Array.from({ length: TOTAL }, (_, i) => Math.fround(Math.sin(i)));

async function made(aggregator: Aggregator, { updates, samples, kind }: Case): Promise<number[]> {
  const owed = previous.map((_, i) =>
    kind === 'updates' ? (previous[i] as number) : kind === 'rounded' ? Math.fround(0.004 * Math.cos(i)) : 0,
  );
  const results = updates.map((update, site) => ({
    site: `site-${String.fromCharCode(97 + site)}`,
    samples: samples[site] as number,
    isUpdate: kind === 'updates',
    model: modelOf(kind === 'updates' ? update : update.map((value, i) => value + (previous[i] as number) - (owed[i] as number))),
    ...(kind !== 'weights' && { base: modelOf(owed) }),
  }));
  const keep = (): never => expect.unreachable();
  const input = {
    round: 1,
    rounds: 1,
    results: results.reverse(),
    previous: modelOf(previous),
    state: {},
    codecs: referenceCodecs,
    integers: 'refuse',
    keep,
  } as const;
  return valuesOf(await aggregator(input));
}

const named = (name: string, options: object = {}): Aggregator => choose(ROBUST_AGGREGATORS, { type: name, ...options }, 'aggregator');
const sum = (values: Vector): number => values.reduce((all, one) => all + one, 0);
const dot = (a: Vector, b: Vector): number => sum(a.map((value, i) => value * (b[i] as number)));
const less = (a: Vector, b: Vector): number[] => a.map((value, i) => value - (b[i] as number));
const norm = (a: Vector): number => Math.sqrt(dot(a, a));
const rising = (values: Vector): number[] => [...values].sort((a, b) => a - b);
const combined = (updates: readonly Vector[], weights: Vector): number[] =>
  Array.from({ length: TOTAL }, (_, i) => sum(updates.map((update, site) => (weights[site] as number) * (update[i] as number))));
const byColumn = (updates: readonly Vector[], rule: (column: number[]) => number): number[] =>
  Array.from({ length: TOTAL }, (_, i) => rule(rising(updates.map((update) => update[i] as number))));
const medianOf = (column: Vector): number => {
  const middle = column.length >> 1;
  return column.length % 2 === 1 ? (column[middle] as number) : ((column[middle - 1] as number) + (column[middle] as number)) / 2;
};
const meanOf = (values: Vector): number => sum(values) / values.length;
const scoresOf = (updates: readonly Vector[], liars: number): number[] =>
  updates.map((update, i) => {
    const distances = rising(updates.filter((_, j) => j !== i).map((other) => norm(less(update, other)) ** 2));
    return sum(distances.slice(0, Math.max(1, updates.length - liars - 2)));
  });
const nearest = (updates: readonly Vector[], liars: number, keep: number): Vector[] => {
  const scores = scoresOf(updates, liars);
  return [...updates.keys()]
    .sort((a, b) => (scores[a] as number) - (scores[b] as number))
    .slice(0, keep)
    .map((i) => updates[i] as Vector);
};

type Reference = (run: Case) => number[];
const REFERENCES: readonly [name: string, options: object, sites: number, liars: number, reference: Reference][] = [
  ['median', {}, 5, 2, ({ updates }) => byColumn(updates, medianOf)],
  ['median', {}, 6, 2, ({ updates }) => byColumn(updates, medianOf)],
  ['trimmedMean', { trim: 2 }, 7, 2, ({ updates }) => byColumn(updates, (column) => meanOf(column.slice(2, -2)))],
  ['trimmedMean', { trim: 0.2 }, 9, 1, ({ updates }) => byColumn(updates, (column) => meanOf(column.slice(1, -1)))],
  ['krum', {}, 5, 1, ({ updates }) => [...(nearest(updates, 1, 1)[0] as Vector)]],
  ['multiKrum', { malicious: 2 }, 8, 2, ({ updates }) => combined(nearest(updates, 2, 6), Array(6).fill(1 / 6))],
  ['multiKrum', { malicious: 2, keep: 3 }, 7, 2, ({ updates }) => combined(nearest(updates, 2, 3), Array(3).fill(1 / 3))],
  [
    'bulyan',
    {},
    8,
    1,
    ({ updates }) => {
      const left = [...updates];
      const selected: Vector[] = [];
      while (selected.length < 6) selected.push(...left.splice(left.indexOf(nearest(left, 1, 1)[0] as Vector), 1));
      return byColumn(selected, (column) => {
        const median = medianOf(column);
        return meanOf([...column].sort((a, b) => Math.abs(a - median) - Math.abs(b - median) || a - b).slice(0, 4));
      });
    },
  ],
  [
    'clippedMean',
    { times: 1.5 },
    6,
    2,
    ({ updates, samples }) => {
      const bound = 1.5 * (rising(updates.map(norm))[2] as number);
      return combined(
        updates,
        updates.map((update, i) => ((samples[i] as number) / sum(samples)) * Math.min(1, bound / norm(update))),
      );
    },
  ],
  [
    'geometricMedian',
    { iterations: 50, tolerance: 0 },
    5,
    1,
    ({ updates, samples }) => {
      let point = Array<number>(TOTAL).fill(0);
      for (let step = 0; step < 50; step++) {
        const pull = updates.map((update, i) => (samples[i] as number) / norm(less(update, point)));
        point = combined(
          updates,
          pull.map((one) => one / sum(pull)),
        );
      }
      return point;
    },
  ],
];

for (const kind of ['updates', 'weights', 'rounded'] as const) {
  test.each(REFERENCES)(`%s %j of %i ${kind}, %i of them lies`, async (name, options, sites, liars, reference) => {
    const random = randomStream(sites, 'samples');
    const run = { updates: updatesOf(sites, liars, sites), samples: Array.from({ length: sites }, () => 50 + random.integer(100)), kind };
    const found = await made(named(name, options), run);
    const expected = reference(run).map((change, i) => (previous[i] as number) + change);
    expect(Math.max(...less(found, expected).map(Math.abs))).toBeLessThan(5e-7);
  });
}

test('a round with too few results is refused by name, and nothing is read', async () => {
  const run: Case = { updates: updatesOf(2, 0, 1), samples: [1, 1], kind: 'updates' };
  await expect(made(named('median'), run)).rejects.toMatchObject({
    code: 'quorum',
    message: '"median" needs a majority of honest sites, so at least 3 results, and this round has 2; set "quorum" in the job to 3 or more',
  });
  await expect(made(named('bulyan', { malicious: 2 }), run)).rejects.toThrow(/malicious 2 needs 4 × malicious \+ 3 = 11 results, and/);
});

test.each([
  ['trimmedMean', { trim: 0.5 }, /a share from 0.001 to below 0.5, or a whole number from 1/],
  ['trimmedMean', { trim: 1.5 }, /a share from 0.001 to below 0.5, or a whole number from 1/],
  ['krum', { malicious: 0 }, /malicious/],
  ['multiKrum', { keep: 0 }, /keep/],
  ['clippedMean', { times: 0 }, /times/],
])('%s refuses %j', (name, options, message) => expect(() => named(name, options)).toThrow(message));

test('sites that all change nothing have a geometric median, and norms of 0 are no bound to divide by', async () => {
  const still = Array.from({ length: 3 }, () => Array<number>(TOTAL).fill(0));
  for (const name of ['geometricMedian', 'clippedMean'])
    expect(await made(named(name), { updates: still, samples: [1, 2, 3], kind: 'updates' })).toEqual(previous);
});

test('a huge update takes nothing of the geometric median or of the bounded mean', async () => {
  const honest = updatesOf(4, 0, 9);
  const huge = Array<number>(TOTAL).fill(1e15);
  for (const name of ['geometricMedian', 'clippedMean', 'median', 'trimmedMean', 'krum', 'multiKrum']) {
    const found = await made(named(name, name === 'trimmedMean' ? { trim: 1 } : {}), {
      updates: [...honest, huge],
      samples: Array(5).fill(1),
      kind: 'updates',
    });
    const expected = combined(honest, Array(4).fill(0.25));
    expect(norm(less(less(found, previous), expected)), name).toBeLessThan(0.7 * norm(expected));
  }
});
