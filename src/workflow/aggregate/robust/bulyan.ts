// Bulyan (El Mhamdi et al. 2018, The Hidden Vulnerability of Distributed Learning in Byzantium):
// Krum selects results, and of their values those nearest to the median are averaged.
import { z } from 'zod';
import { row } from '../../../core/row.js';
import type { Aggregator } from '../aggregator.js';
import { byColumns } from './column-rule.js';
import { squaredDistances, updateProducts } from './distances.js';
import { type KrumOptions, malicious } from './krum.js';
import { bulyanChoice } from './krum-choice.js';
import { needing } from './needing.js';

/**
 * Of n results, n − 2f are selected by Krum, one after the other; each value of the next model is
 * `base + mean of the n − 4f of their values that are nearest to their median`. Samples do not
 * count.
 */
export function bulyan({ malicious: liars }: KrumOptions): Aggregator {
  const results = 4 * liars + 3;
  return needing({ results, because: `"bulyan" with malicious ${liars} needs 4 × malicious + 3 = ${results} results` }, (input) =>
    byColumns(
      input,
      (selected) => ({ rule: 'nearMedian', keep: selected - 2 * liars }),
      'the mean around the median',
      async (ordered) => bulyanChoice(squaredDistances(await updateProducts(ordered, input)), liars, ordered.length - 2 * liars),
    ),
  );
}

/** The row `bulyan`, with the option `malicious`. */
export const bulyanRow = row('bulyan', z.strictObject({ malicious }), bulyan);
