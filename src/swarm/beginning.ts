// The model that a swarm begins with, from the first aggregator: the one that the seed or its trainer
// makes, or one that its owner has named.
import { FedStreamError } from '../core/errors.js';
import type { Workplace } from '../site/workplace.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { SwarmOptions } from './options.js';

/**
 * Opens the model; the caller closes it. Throws `not-found` where this site has none: for a job that
 * names a model, its owner gives it (`--base`), since the server has none to send.
 */
export async function beginning({ job, trainer, signal }: Workplace, { bases = [] }: SwarmOptions): Promise<StateDict> {
  const named = job.model !== 'offered' && 'path' in job.model;
  if (!named && trainer.offer) return (await trainer.offer(signal)).model;
  const [base] = bases;
  if (named && base) return base.open();
  throw new FedStreamError(
    'not-found',
    named
      ? 'the job names a model, which this site would have to begin with: give it with --base'
      : 'the trainer of this site offers no model to begin with',
  );
}
