// Compares two models tensor by tensor, to tell what a codec costs.
import { FedStreamError } from '../core/errors.js';
import { largestChunk } from '../tensor/chunks.js';
import { DTYPES, type Dtype, elementCount } from '../tensor/dtype.js';
import type { Manifest, TensorEntry } from '../tensor/manifest.js';
import { float64Of } from '../tensor/number-values.js';
import { arrangeTensors } from '../tensor/select-tensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { widenInto } from '../tensor/widen.js';

/** Errors of B against A, all in float64; infinite or NaN if the values are. */
export interface TensorComparison {
  readonly name: string;
  readonly elements: number;
  /** Mean of the squared errors. */
  readonly mse: number;
  /** 10 log10 (‖A‖² / ‖B − A‖²); infinite where both are equal. */
  readonly snrDb: number;
  readonly maxError: number;
  /** ‖B − A‖ / ‖A‖. */
  readonly relativeL2: number;
  readonly squaredError: number;
  readonly squaredValue: number;
}

type ErrorSums = Pick<TensorComparison, 'elements' | 'squaredError' | 'squaredValue' | 'maxError'>;

/**
 * Compares every tensor of A with that of the same name in B; both models are raw (decode them
 * first), in one pass. Packed floats of 4 and 6 bits are compared byte by byte, complex numbers as
 * pairs. Throws `bad-model` if a tensor is missing or has another shape.
 */
export async function* compareModels(a: StateDict, b: StateDict): AsyncGenerator<TensorComparison> {
  sameNames(a.manifest, b.manifest);
  const arranged = arrangeTensors(b, a.manifest);
  const size = largestChunk(a.manifest);
  const room = [new Float32Array(size), new Float32Array(size)] as const;
  const others = arranged.chunks()[Symbol.asyncIterator]();
  let at = 0;
  let sums: ErrorSums = NO_ERRORS;
  try {
    for await (const chunk of a.chunks()) {
      for (; at < chunk.tensorIndex; sums = NO_ERRORS) yield ended(a.manifest, at++, sums);
      const next = await others.next();
      if (next.done) throw new FedStreamError('internal', `the chunks of ${chunk.tensor.name} do not match`);
      const { tensor, bytes } = next.value;
      sums = withErrors(sums, floats(chunk.tensor.dtype, chunk.bytes, room[0]), floats(tensor.dtype, bytes, room[1]), chunk.tensor);
    }
    for (; at < a.manifest.tensors.length; sums = NO_ERRORS) yield ended(a.manifest, at++, sums);
  } finally {
    await others.return?.();
  }
}

function ended({ tensors }: Manifest, index: number, sums: ErrorSums): TensorComparison {
  const { name, shape } = tensors[index] as TensorEntry;
  return comparison(name, { ...sums, elements: elementCount(shape) });
}

/** Throws `bad-model` unless both models have tensors of the same names and shapes, in any order. */
function sameNames(a: Manifest, b: Manifest): void {
  const places = new Map(b.tensors.map((tensor) => [tensor.name, tensor]));
  for (const { name, shape } of a.tensors) {
    const other = places.get(name);
    if (!other) throw new FedStreamError('bad-model', `the second model lacks the tensor ${name}`);
    if (other.shape.join() !== shape.join())
      throw new FedStreamError(
        'bad-model',
        `tensor ${name} is [${shape.join(', ')}] in one model, [${other.shape.join(', ')}] in the other`,
      );
    places.delete(name);
  }
  const [extra] = places.keys();
  if (extra !== undefined) throw new FedStreamError('bad-model', `the second model has the tensor ${extra}, which the first does not have`);
}

/** The errors of all tensors taken as one. */
export function compareAll(parts: readonly TensorComparison[]): TensorComparison {
  return comparison('', parts.reduce(addSums, NO_ERRORS));
}

const NO_ERRORS: ErrorSums = { elements: 0, squaredError: 0, squaredValue: 0, maxError: 0 };

function addSums(a: ErrorSums, b: ErrorSums): ErrorSums {
  return {
    elements: a.elements + b.elements,
    squaredError: a.squaredError + b.squaredError,
    squaredValue: a.squaredValue + b.squaredValue,
    maxError: Math.max(a.maxError, b.maxError),
  };
}

function comparison(name: string, { elements, squaredError, squaredValue, maxError }: ErrorSums): TensorComparison {
  const mse = elements === 0 ? 0 : squaredError / elements;
  const relative = squaredError === 0 ? 0 : squaredError / squaredValue;
  const snrDb = relative === 0 ? Number.POSITIVE_INFINITY : -10 * Math.log10(relative);
  return { name, elements, mse, snrDb, maxError, relativeL2: Math.sqrt(relative), squaredError, squaredValue };
}

/** Values of a dtype without numbers of its own (4 and 6 bits, packed) are compared as bytes. */
function floats(dtype: Dtype, bytes: Uint8Array, room: Float32Array): ArrayLike<number> {
  return DTYPES[dtype].quantizable ? widenInto(dtype, bytes, room) : (float64Of(dtype, bytes) ?? bytes);
}

function withErrors(sums: ErrorSums, a: ArrayLike<number>, b: ArrayLike<number>, { name }: TensorEntry): ErrorSums {
  if (a.length !== b.length) throw new FedStreamError('bad-model', `tensor ${name} has dtypes in the two models that cannot be compared`);
  let { squaredError, squaredValue, maxError } = sums;
  for (let i = 0; i < a.length; i++) {
    const value = a[i] as number;
    const error = Math.abs((b[i] as number) - value);
    squaredError += error * error;
    squaredValue += value * value;
    if (error > maxError || Number.isNaN(error)) maxError = error; // a NaN stays
  }
  return { elements: sums.elements, squaredError, squaredValue, maxError };
}
