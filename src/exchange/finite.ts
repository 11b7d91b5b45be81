// Looks at every value of a model before it is used: a NaN that gets into an average spoils the model of all.
import type { CodecTable } from '../codec/codec.js';
import { poolFor } from '../codec/quantize.js';
import type { StateDict } from '../tensor/state-dict.js';
import { reduceChunks } from './reduce.js';

/** Throws `non-finite`, naming whose model it is, the tensor and the element. Reads every chunk once, and decodes it where it is coded. */
export async function checkFinite(model: StateDict, whose: string, codecs: CodecTable): Promise<void> {
  const options = { addends: [{ model, weight: 1 }], codecs, pool: poolFor(model, codecs), what: whose };
  for await (const _ of reduceChunks(options));
}
