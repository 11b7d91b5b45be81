// The step between the results of a round and its aggregator, in which an algorithm weights them.
import type { StateDict } from '../../tensor/state-dict.js';
import type { Federation } from '../federation.js';
import type { Contribution } from './aggregator.js';

/** The part of a federation that results are combined with. */
export type Combining = Pick<Federation, 'job' | 'models' | 'codecs' | 'log' | 'round' | 'emit' | 'sample'>;

/** Changes the weighted results of a round before they are aggregated; lazy, as they are. */
export type Adjust = (results: readonly Contribution[], previous: StateDict, federation: Combining) => readonly Contribution[];

/**
 * The results that have a figure which their weight depends on. The others are left out, each with a
 * warning that ends in `why`.
 */
export function having<Figure>(
  results: readonly Contribution[],
  figureOf: (result: Contribution) => Figure | undefined,
  why: string,
  { log, emit, round }: Pick<Combining, 'log' | 'emit' | 'round'>,
): { readonly result: Contribution; readonly figure: Figure }[] {
  return results.flatMap((result) => {
    const figure = figureOf(result);
    if (figure !== undefined) return [{ result, figure }];
    const message = `the result of ${result.site} for round ${round} is left out: ${why}`;
    log.warn({ round, site: result.site }, message);
    emit({ type: 'warning', message });
    return [];
  });
}
