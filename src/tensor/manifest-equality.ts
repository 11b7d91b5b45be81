// Compares the tensors of two models, and names the first difference.
import { FedStreamError } from '../core/errors.js';
import type { Manifest, TensorEntry } from './manifest.js';

/**
 * Throws `bad-model` with the first difference unless both have the same names, dtypes and shapes
 * in the same order. Encodings may differ.
 */
export function sameTensors(expected: Manifest, found: Manifest, what: string): void {
  const foundNames = new Set(found.tensors.map((tensor) => tensor.name));
  const missing = expected.tensors.find((tensor) => !foundNames.has(tensor.name));
  if (missing) throw new FedStreamError('bad-model', `${what} lacks the tensor ${missing.name} ${describe(missing)}`);
  for (const [index, tensor] of found.tensors.entries()) {
    const other = expected.tensors[index];
    if (!other) throw new FedStreamError('bad-model', `${what} has the tensor ${tensor.name}, which the model does not have`);
    if (other.name !== tensor.name) throw new FedStreamError('bad-model', `${what} has ${tensor.name} where ${other.name} belongs`);
    if (describe(other) !== describe(tensor)) {
      throw new FedStreamError('bad-model', `${what}: ${tensor.name} is ${describe(tensor)}, the model has ${describe(other)}`);
    }
  }
  if (expected.chunkElements !== found.chunkElements) {
    throw new FedStreamError('bad-model', `${what} is cut into chunks of ${found.chunkElements} elements, not ${expected.chunkElements}`);
  }
}

function describe({ dtype, shape }: TensorEntry): string {
  return `${dtype} [${shape.join(', ')}]`;
}
