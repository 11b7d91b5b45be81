// Checks every value of a model before it is used, and measures it in the same pass: one NaN in an
// average would spoil the global model, and so would one huge update.
import type { CodecTable } from '../codec/codec.js';
import { poolFor } from '../codec/quantize.js';
import type { StateDict } from '../tensor/state-dict.js';
import { sumChunks } from './sum-chunks.js';

/**
 * The L2 norm of a model's float values or, with `given`, of what was changed of that model, which
 * has the same tensors. Squares are added in float64 in the order of the chunks, so the bits do not
 * depend on the number of threads.
 *
 * Throws `non-finite`, naming the owner of the model, the tensor and the element. Reads every chunk
 * once and decodes it where it is coded.
 */
export async function checkFinite(model: StateDict, whose: string, codecs: CodecTable, given?: StateDict): Promise<number> {
  const changed = given ? [{ model: given, weight: -1 }] : [];
  const addends = [{ model, weight: 1 }, ...changed];
  let squares = 0;
  for await (const { report } of sumChunks({ addends, codecs, pool: poolFor(model, codecs), what: whose, measure: true }))
    squares += report.squares ?? 0;
  return Math.sqrt(squares);
}
