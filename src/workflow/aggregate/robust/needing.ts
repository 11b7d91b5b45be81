// Aggregators that need several results: fewer would be combined to something else than was asked
// for.
import { FedStreamError } from '../../../core/errors.js';
import type { Aggregator, LeastResults } from '../aggregator.js';

/**
 * The aggregator with its least number of results; given fewer, it throws `quorum` before it reads
 * anything.
 */
export function needing(needs: LeastResults, aggregate: Aggregator): Aggregator {
  const checked: Aggregator = (input) => {
    const { length } = input.results;
    if (length >= needs.results) return aggregate(input);
    throw new FedStreamError(
      'quorum',
      `${needs.because}, and this round has ${length}; set "quorum" in the job to ${needs.results} or more`,
    );
  };
  return Object.assign(checked, { needs });
}

/** Rules that stand by a majority of honest sites need three results: of two, neither is in one. */
export function majority(name: string): LeastResults {
  return { results: 3, because: `"${name}" needs a majority of honest sites, so at least 3 results` };
}
