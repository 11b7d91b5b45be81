// Krum and multi-Krum (Blanchard et al. 2017, Machine Learning with Adversaries: Byzantine Tolerant
// Gradient Descent): the results that lie nearest to the others.
import { z } from 'zod';
import { row } from '../../../core/row.js';
import type { Aggregator, LeastResults } from '../aggregator.js';
import { squaredDistances, updateProducts } from './distances.js';
import { krumChoice } from './krum-choice.js';
import { needing } from './needing.js';
import { byWeights } from './weighted-results.js';

/** The number of sites that may lie in a round. */
export const malicious = z.int().min(1).default(1);

/** Options of `krum`. */
export interface KrumOptions {
  /** The number of sites that may lie (f). */
  readonly malicious: number;
}

/** Options of `multiKrum`. */
export interface MultiKrumOptions extends KrumOptions {
  /** The results that are averaged (m); by default all but `malicious`. */
  readonly keep?: number | undefined;
}

/** `base + the one result with the nearest neighbours`. Samples do not count. */
export function krum({ malicious: liars }: KrumOptions): Aggregator {
  return needing(
    leastFor('krum', liars),
    choosing(liars, () => 1),
  );
}

/** `base + mean of the results with the nearest neighbours`; each of them counts once. */
export function multiKrum({ malicious: liars, keep }: MultiKrumOptions): Aggregator {
  return needing(
    leastFor('multiKrum', liars, keep),
    choosing(liars, (results) => keep ?? results - liars),
  );
}

function choosing(liars: number, keep: (results: number) => number): Aggregator {
  return (input) =>
    byWeights(
      input,
      async (ordered) => {
        const chosen = krumChoice(squaredDistances(await updateProducts(ordered, input)), liars, keep(ordered.length));
        return ordered.map((_, index) => (chosen.includes(index) ? 1 / chosen.length : 0));
      },
      'the mean of the chosen results',
    );
}

function leastFor(name: string, liars: number, keep = 0): LeastResults {
  const results = Math.max(2 * liars + 3, keep + liars);
  const rule = results === 2 * liars + 3 ? '2 × malicious + 3' : 'keep + malicious';
  return { results, because: `"${name}" with malicious ${liars} needs ${rule} = ${results} results` };
}

/** The row `krum`, with the option `malicious`. */
export const krumRow = row('krum', z.strictObject({ malicious }), krum);

/** The row `multiKrum`, with the options `malicious` and `keep`. */
export const multiKrumRow = row('multiKrum', z.strictObject({ malicious, keep: z.int().min(1).optional() }), multiKrum);
