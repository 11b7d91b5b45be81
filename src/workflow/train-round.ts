// One round of training at the sites that are drawn for it.
import type { Ask, Federation, Outcome } from './federation.js';
import type { RoundInput } from './in-rounds.js';

/**
 * Asks the round's sites to train the offered model, and waits for a quorum of them; `more` is what
 * an algorithm adds to the task.
 */
export function trainRound(
  { offer, evaluate }: Pick<RoundInput, 'offer' | 'evaluate'>,
  federation: Federation,
  more: Partial<Ask> = {},
): Promise<Outcome[]> {
  const { sites, quorum } = federation.sample();
  return federation.gather({ kind: 'train', offer, evaluate, ...more }, { sites, quorum });
}
