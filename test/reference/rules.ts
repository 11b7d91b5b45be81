// The rules that are compared with NumPy: a row's options, and what the rule needs of a round.
import fc from 'fast-check';

/** A row of the aggregators, as it is compared. */
export interface ComparedRule {
  /** The name of the row, and of the function in reference.py. */
  readonly name: string;
  readonly options: fc.Arbitrary<Record<string, unknown>>;
  /** The fewest sites that the options allow; 1 where it is not said. */
  leastSites?(options: Record<string, unknown>): number;
}

const upTo = (max: number) => fc.integer({ min: 0, max: 100 }).map((hundredths) => (hundredths / 100) * max);
const rate = upTo(2).map((value) => value + 0.1);

const decaying = { weightDecay: fc.constantFrom(0, 0.05) };
const course = { schedule: fc.constantFrom('constant', 'cosine', 'linear'), warmupRounds: fc.integer({ min: 0, max: 2 }) };
// A step is up to rate / tau times the update, and so are the roundings of whole weights.
const adaptive = { ...decaying, ...course, rate: upTo(0.05).map((value) => value + 0.001), tau: fc.constantFrom(0.03, 0.1) };
const beta1 = fc.constantFrom(0, 0.5, 0.9);
const beta2 = fc.constantFrom(0.9, 0.99);

const malicious = fc.integer({ min: 1, max: 2 });
/** For rules of some number of lying sites: so many times it, and some more. */
const sitesFor =
  (times: number, more: number) =>
  (options: Record<string, unknown>): number =>
    times * (options.malicious as number) + more;

/** A row each; `test/reference/aggregators.test.ts` says which rows there are besides. */
export const COMPARED: readonly ComparedRule[] = [
  { name: 'adagrad', options: fc.record({ ...adaptive, beta1 }) },
  { name: 'adam', options: fc.record({ ...adaptive, beta1, beta2 }) },
  { name: 'bulyan', options: fc.record({ malicious }), leastSites: sitesFor(4, 3) },
  { name: 'clippedMean', options: fc.record({ times: rate }), leastSites: () => 3 },
  {
    name: 'geometricMedian',
    // Without a tolerance all steps are taken, as NumPy does.
    options: fc.record({
      iterations: fc.integer({ min: 1, max: 30 }),
      tolerance: fc.constant(0),
      smoothing: fc.constantFrom(1e-6, 1e-3),
    }),
    leastSites: () => 3,
  },
  { name: 'krum', options: fc.record({ malicious }), leastSites: sitesFor(2, 3) },
  { name: 'mean', options: fc.constant({}) },
  { name: 'median', options: fc.constant({}), leastSites: () => 3 },
  { name: 'momentum', options: fc.record({ momentum: upTo(0.99), rate }) },
  {
    name: 'multiKrum',
    options: fc.oneof(fc.record({ malicious }), fc.record({ malicious, keep: fc.integer({ min: 1, max: 4 }) })),
    leastSites: sitesFor(2, 4),
  },
  { name: 'nesterov', options: fc.record({ momentum: upTo(0.95), rate, ...decaying, ...course }) },
  { name: 'sgd', options: fc.record({ rate, ...decaying, ...course }) },
  {
    name: 'trimmedMean',
    options: fc.record({ trim: fc.constantFrom(1, 2, 0.2, 0.35) }),
    leastSites: ({ trim }) => ((trim as number) < 1 ? Math.ceil(1 / (trim as number)) : 2 * (trim as number) + 1),
  },
  { name: 'yogi', options: fc.record({ ...adaptive, beta1, beta2 }) },
];
