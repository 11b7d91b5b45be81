// Compares the tensors of two models, and names the first difference.
import { FedStreamError } from '../core/errors.js';
import type { Manifest, TensorEntry } from './manifest.js';

/**
 * Throws `bad-model` with the first difference unless both have the same names, dtypes and shapes
 * in the same order. Encodings may differ.
 */
export function sameTensors(expected: Manifest, found: Manifest, what: string): void {
  if (isSame(expected, found)) return;
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

/** The same question without words for the difference, which cost more than all the rest. */
function isSame(expected: Manifest, found: Manifest): boolean {
  if (expected.chunkElements !== found.chunkElements || expected.tensors.length !== found.tensors.length) return false;
  return expected.tensors.every((tensor, index) => {
    const other = found.tensors[index] as TensorEntry;
    return tensor.name === other.name && tensor.dtype === other.dtype && sameShape(tensor.shape, other.shape);
  });
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((side, index) => side === b[index]);
}

function describe({ dtype, shape }: TensorEntry): string {
  return `${dtype} [${shape.join(', ')}]`;
}
