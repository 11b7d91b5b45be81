// Splits samples among sites and holds some out, by a seed, with the same result on every machine.
import { FedStreamError } from '../../core/errors.js';
import { type Random, randomStream, shuffle } from '../../core/random.js';

/** How samples are split; `dirichlet` is α, and a small α makes the sites differ more. */
export type Split = 'iid' | 'category' | { readonly dirichlet: number };

/** The parts of a sample that a split looks at. */
interface Divisible {
  readonly answer: string;
  readonly category?: string;
}

/**
 * Samples by site; a single site gets all of them, in the order given. Throws `bad-data` if a site
 * would get none.
 */
export function splitSamples<Sample extends Divisible>(
  samples: readonly Sample[],
  sites: readonly string[],
  how: Split,
  seed: number,
): Map<string, Sample[]> {
  const parts = new Map<string, Sample[]>(sites.map((site) => [site, []]));
  if (sites.length === 1) return new Map([[sites[0] as string, [...samples]]]);
  if (how === 'iid') {
    const order = shuffle([...samples], randomStream(seed, 'iid split'));
    for (const [index, sample] of order.entries()) parts.get(sites[index % sites.length] as string)?.push(sample);
  } else if (how === 'category') byCategory(samples, sites, parts);
  else dirichlet(samples, sites, how.dirichlet, parts, seed);
  checkNoneEmpty(parts);
  return parts;
}

/** Throws `bad-data` if a site got nothing. */
export function checkNoneEmpty(parts: ReadonlyMap<string, readonly unknown[]>): void {
  const empty = [...parts].find(([, part]) => part.length === 0);
  if (!empty) return;
  const samples = [...parts.values()].reduce((sum, part) => sum + part.length, 0);
  throw new FedStreamError(
    'bad-data',
    `${samples} samples split among ${parts.size} sites leave ${empty[0]} without any; use fewer sites, more data or another split`,
  );
}

function byCategory<Sample extends Divisible>(samples: readonly Sample[], sites: readonly string[], parts: Map<string, Sample[]>): void {
  const groups = grouped(samples, (sample) => sample.category);
  if (groups.has(undefined))
    throw new FedStreamError('bad-data', 'the split by category needs a "category" in every sample; use "iid" or {"dirichlet": alpha}');
  const names = [...groups.keys()].sort();
  for (const [index, name] of names.entries()) {
    const part = parts.get(sites[index % sites.length] as string);
    for (const sample of groups.get(name) ?? []) part?.push(sample);
  }
}

/**
 * Hsu et al. 2019: draws the shares of each category from Dirichlet(α). Without categories, the
 * quarters by length of the answer take their place.
 */
function dirichlet<Sample extends Divisible>(
  samples: readonly Sample[],
  sites: readonly string[],
  alpha: number,
  parts: Map<string, Sample[]>,
  seed: number,
): void {
  const groups = grouped(samples, samples.every((sample) => sample.category) ? (sample) => sample.category : lengthQuarters(samples));
  for (const name of [...groups.keys()].sort()) {
    const random = randomStream(seed, 'dirichlet split', name as string);
    const group = shuffle([...(groups.get(name) ?? [])], random);
    const shares = dirichletShares(alpha, sites.length, random);
    let taken = 0;
    let reached = 0;
    for (const [index, site] of sites.entries()) {
      reached += shares[index] as number;
      const end = index === sites.length - 1 ? group.length : Math.round(reached * group.length);
      const part = parts.get(site);
      while (taken < end) part?.push(group[taken++] as Sample);
    }
  }
}

/** Quarters by length of the answer; samples of equal length stay together. */
function lengthQuarters(samples: readonly Divisible[]): (sample: Divisible) => string {
  const lengths = samples.map((sample) => sample.answer.length).sort((a, b) => a - b);
  const quarters = new Map<number, number>();
  for (const [index, length] of lengths.entries())
    if (!quarters.has(length)) quarters.set(length, Math.floor((4 * index) / lengths.length));
  return (sample) => `length ${quarters.get(sample.answer.length)}`;
}

/** Uses logarithms: the draws of a small α underflow, but their shares do not. */
function dirichletShares(alpha: number, count: number, random: Random): number[] {
  const logs = Array.from({ length: count }, () => logGamma(alpha, random));
  const largest = Math.max(...logs);
  const weights = logs.map((log) => Math.exp(log - largest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/**
 * The logarithm of a draw from Gamma(α, 1), after Marsaglia and Tsang 2000; for α below 1, by the
 * power of a uniform draw.
 */
function logGamma(alpha: number, random: Random): number {
  if (alpha < 1) return logGamma(alpha + 1, random) + Math.log(1 - random.uniform()) / alpha;
  const d = alpha - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return Math.log(d * v);
  }
}

/**
 * Holds samples out by a seeded choice; the others keep their order. At least one stays for
 * training.
 */
export function holdOut<Sample>(
  samples: readonly Sample[],
  fraction: number,
  atMost: number,
  seed: number,
): { training: Sample[]; validation: Sample[] } {
  const count = Math.min(Math.floor(samples.length * fraction), atMost, samples.length - 1);
  const order = shuffle([...samples.keys()], randomStream(seed, 'hold out'));
  const held = new Set(order.slice(0, count));
  return { training: samples.filter((_, index) => !held.has(index)), validation: samples.filter((_, index) => held.has(index)) };
}

function grouped<Sample, K>(samples: readonly Sample[], keyOf: (sample: Sample) => K): Map<K, Sample[]> {
  const groups = new Map<K, Sample[]>();
  for (const sample of samples) {
    const key = keyOf(sample);
    const group = groups.get(key);
    if (group) group.push(sample);
    else groups.set(key, [sample]);
  }
  return groups;
}
