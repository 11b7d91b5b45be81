// Looks at every value of a model before it is used: a NaN that gets into an average spoils the model of all.
import { FedStreamError } from '../core/errors.js';
import { DTYPES } from '../tensor/dtype.js';
import type { StateDict } from '../tensor/state-dict.js';
import { widenInto } from '../tensor/widen.js';

/** Throws `non-finite`, naming whose model it is, the tensor and the element. Reads every chunk of a raw model once. */
export async function checkFinite(model: StateDict, whose: string): Promise<void> {
  const values = new Float32Array(model.manifest.chunkElements);
  for await (const { tensor, firstElement, bytes } of model.chunks()) {
    if (!DTYPES[tensor.dtype].quantizable) continue;
    const widened = widenInto(tensor.dtype, bytes, values);
    const bad = widened.findIndex((value) => !Number.isFinite(value));
    if (bad < 0) continue;
    throw new FedStreamError(
      'non-finite',
      `${whose}: tensor ${tensor.name} has ${widened[bad]} at element ${firstElement + bad}; it is refused`,
    );
  }
}
