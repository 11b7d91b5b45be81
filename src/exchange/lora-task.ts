// The numbers of a task that give a site its part of an adapter, where sites differ in rank.
import type { CodecTable } from '../codec/codec.js';
import { decodeModel } from '../codec/quantize.js';
import { FedStreamError } from '../core/errors.js';
import { loraPairs } from '../tensor/lora-pairs.js';
import { withRank } from '../tensor/lora-rank.js';
import type { StateDict } from '../tensor/state-dict.js';

/** The names of the numbers: the site's rank, and by what its products' scaling exceeds the global one. */
export const LORA_FIGURES = { rank: 'lora.rank', scale: 'lora.scale' } as const;

/**
 * The adapter as the site trains it: its first directions, with B divided by the site's scaling, so
 * that the products are those of the global adapter. The model itself for a task without the
 * numbers. Throws `bad-frame` for numbers that fit no adapter.
 */
export function ownRank(model: StateDict, figures: Readonly<Record<string, number>> | undefined, codecs: CodecTable): StateDict {
  const { [LORA_FIGURES.rank]: rank, [LORA_FIGURES.scale]: scale = 1 } = figures ?? {};
  if (rank === undefined) return model;
  const pairs = loraPairs(model.manifest);
  const most = Math.min(...pairs.map((pair) => pair.rank));
  if (!Number.isInteger(rank) || rank < 1 || rank > most || pairs.length === 0)
    throw new FedStreamError(
      'bad-frame',
      `the task gives this site ${rank} directions of an adapter that has ${pairs.length > 0 ? most : 'none'}`,
    );
  if (!(scale > 0) || !Number.isFinite(1 / scale))
    throw new FedStreamError('bad-frame', `the task scales products by ${scale}, which is no scale`);
  return withRank(decodeModel(model, codecs), rank, 1 / scale);
}
