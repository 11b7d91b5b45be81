// The positions that a model was trained for: samples beyond them are told, or refused where the
// model would be another one there.
import { FedStreamError } from '../../core/errors.js';
import type { LlamaConfig } from './config.js';

/**
 * Throws `bad-model` where samples of so many tokens would change the rotary embeddings of the model
 * with the length of each batch, which this trainer does not do.
 */
export function checkPositions({ ropeScaling, maxPositions }: LlamaConfig, tokens: number): void {
  const kind = ropeScaling?.rope_type;
  if (kind !== 'longrope' && kind !== 'dynamic') return;
  const most = ropeScaling?.rope_type === 'longrope' ? ropeScaling.original_max_position_embeddings : maxPositions;
  if (tokens <= most) return;
  throw new FedStreamError(
    'bad-model',
    `samples of up to ${tokens} tokens: with rope_type "${kind}" the built-in trainer trains up to ${most}, beyond which the model depends on the length of each batch; set train.maxTokens to at most ${most}`,
  );
}

/** A warning for samples longer than the model was trained for; undefined if there are none. */
export function longSamplesWarning({ maxPositions }: LlamaConfig, lengths: Iterable<number>): string | undefined {
  let count = 0;
  for (const length of lengths) if (length > maxPositions) count++;
  if (count === 0) return undefined;
  const samples = count === 1 ? '1 sample is' : `${count} samples are`;
  return `${samples} longer than the ${maxPositions} positions that the model was trained for (max_position_embeddings), and learn little beyond them; train.maxTokens = ${maxPositions} cuts them there`;
}
