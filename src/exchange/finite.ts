// Checks every value of a model before it is used: one NaN in an average would spoil the global
// model.
import type { CodecTable } from '../codec/codec.js';
import { poolFor } from '../codec/quantize.js';
import type { StateDict } from '../tensor/state-dict.js';
import { reduceChunks } from './reduce.js';

/**
 * Throws `non-finite`, naming the owner of the model, the tensor and the element. Reads every chunk
 * once and decodes it where it is coded.
 */
export async function checkFinite(model: StateDict, whose: string, codecs: CodecTable): Promise<void> {
  const options = { addends: [{ model, weight: 1 }], codecs, pool: poolFor(model, codecs), what: whose };
  for await (const _ of reduceChunks(options));
}
