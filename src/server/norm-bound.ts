// The bound on the norms of results: one far above the others', or beyond what a model can take, is
// refused before anything sees it.
import { FedStreamError } from '../core/errors.js';
import { lowerMedian } from '../core/lower-median.js';
import type { Job } from '../job/job.js';
import { MODEL_NAME } from '../tensor/extra-names.js';

/** L2 norms of a result by name: `model` is its update, any other an extra. */
export type Norms = Readonly<Record<string, number>>;

/** A result with its norms. */
export interface Measured {
  readonly site: string;
  readonly norms: Norms;
}

/**
 * The largest norm of anything that a site sends. Below it, the sum of any number of results stays
 * far from the largest float32 (3.4e38), and so does a step of momentum.
 */
const MOST_NORM = 1e18;

/**
 * Root mean square up to which an update is taken beside any model: no training moves values by
 * tens of thousands that are not as large themselves.
 */
const LARGE_RMS = 10_000;

/** The number of results from which on each is compared with the median. */
const LEAST_COMPARED = 3;

/**
 * An update below this share of its model's norm is never too large: in a round of small steps one
 * site may learn far more than the others, or round to a 16-bit dtype (0.2 % of a value at most).
 */
const SMALL_SHARE = 0.05;

/** Throws `bad-model` for a norm that no sum should be given, whatever the job's bound. */
export function checkNorm(norm: number, whose: string): void {
  if (norm <= MOST_NORM) return;
  throw new FedStreamError('bad-model', `${whose} has the norm ${shown(norm)}; more than ${shown(MOST_NORM)} is never taken`);
}

/** An update, and the model that it is of. */
export interface MeasuredUpdate {
  readonly norm: number;
  /** The number of values. */
  readonly elements: number;
  /** Reads the norm of the model; only called for an update of large values. */
  modelNorm(): Promise<number>;
}

/**
 * Throws `bad-model` for an update of large values that is `bound` times as large as the model that
 * it is of. It holds for any number of results. A model of zeros says nothing about its updates.
 */
export async function checkAgainstModel(
  { norm, elements, modelNorm }: MeasuredUpdate,
  bound: Job['normBound'],
  whose: string,
): Promise<void> {
  if (bound === 'off' || norm <= LARGE_RMS * Math.sqrt(elements)) return;
  const model = await modelNorm();
  if (model === 0 || norm <= bound * model) return;
  throw new FedStreamError(
    'bad-model',
    `${whose} is an update of norm ${shown(norm)}, more than ${bound} times that of the model (${shown(model)}); normBound in the job sets the bound`,
  );
}

/**
 * The reason for which each result of a round is refused, by site: a norm of more than `bound`
 * times the median of all. Fewer than three say nothing about each other. Norms of 0 do not count:
 * a site that has nothing to change says nothing about those that have. `modelNorm` reads the norm
 * of the model that a site was given; it is only called for an update that may be refused.
 */
export async function outliers(
  results: readonly Measured[],
  bound: Job['normBound'],
  modelNorm: (site: string) => Promise<number>,
): Promise<Map<string, string>> {
  const refused = new Map<string, string>();
  if (bound === 'off') return refused;
  for (const name of new Set(results.flatMap(({ norms }) => Object.keys(norms)))) {
    const found = results.flatMap(({ site, norms }) => ((norms[name] ?? 0) > 0 ? [{ site, norm: norms[name] as number }] : []));
    if (found.length < LEAST_COMPARED) continue;
    const median = lowerMedian(found.map(({ norm }) => norm)) as number;
    for (const { site, norm } of found) {
      if (norm <= bound * median || refused.has(site)) continue;
      if (name === MODEL_NAME && norm <= SMALL_SHARE * (await modelNorm(site))) continue;
      const what = name === MODEL_NAME ? 'an update' : name;
      refused.set(
        site,
        `sent ${what} of norm ${shown(norm)}, more than ${bound} times the median of the results (${shown(median)}); normBound in the job sets the bound`,
      );
    }
  }
  return refused;
}

function shown(norm: number): string {
  return String(Number(norm.toPrecision(3)));
}
