// Compares two models tensor by tensor, to tell what a codec costs.
import { FedStreamError } from '../core/errors.js';
import { tensorRange } from '../tensor/chunks.js';
import { DTYPES, type Dtype, elementCount } from '../tensor/dtype.js';
import type { TensorEntry } from '../tensor/manifest.js';
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
 * first). Tensors other than 32-bit and 16-bit floats are compared byte by byte. Throws `bad-model`
 * if a tensor is missing or has another shape.
 */
export async function* compareModels(a: StateDict, b: StateDict): AsyncGenerator<TensorComparison> {
  const places = new Map(b.manifest.tensors.map(({ name }, index) => [name, index]));
  for (const [index, tensor] of a.manifest.tensors.entries())
    yield comparison(tensor.name, await compareTensor(a, index, b, places.get(tensor.name) ?? -1));
  const names = new Set(a.manifest.tensors.map(({ name }) => name));
  const extra = b.manifest.tensors.find(({ name }) => !names.has(name));
  if (extra) throw new FedStreamError('bad-model', `the second model has the tensor ${extra.name}, which the first does not have`);
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

async function compareTensor(a: StateDict, index: number, b: StateDict, otherIndex: number): Promise<ErrorSums> {
  const tensor = a.manifest.tensors[index] as TensorEntry;
  const other = b.manifest.tensors[otherIndex];
  if (!other) throw new FedStreamError('bad-model', `the second model lacks the tensor ${tensor.name}`);
  if (other.shape.join() !== tensor.shape.join())
    throw new FedStreamError(
      'bad-model',
      `tensor ${tensor.name} is [${tensor.shape.join(', ')}] in one model, [${other.shape.join(', ')}] in the other`,
    );
  let sums: ErrorSums = { ...NO_ERRORS, elements: elementCount(tensor.shape) };
  const room = [new Float32Array(a.manifest.chunkElements), new Float32Array(a.manifest.chunkElements)] as const;
  const others = b.chunks(tensorRange(b.manifest, otherIndex))[Symbol.asyncIterator]();
  try {
    for await (const chunk of a.chunks(tensorRange(a.manifest, index))) {
      const next = await others.next();
      if (next.done) throw new FedStreamError('internal', `the chunks of ${tensor.name} do not match`);
      sums = withErrors(sums, floats(tensor.dtype, chunk.bytes, room[0]), floats(other.dtype, next.value.bytes, room[1]));
    }
  } finally {
    await others.return?.();
  }
  return sums;
}

/** Values of a dtype that has no float32 form are compared as bytes. */
function floats(dtype: Dtype, bytes: Uint8Array, room: Float32Array): ArrayLike<number> {
  return DTYPES[dtype].quantizable ? widenInto(dtype, bytes, room) : bytes;
}

function withErrors(sums: ErrorSums, a: ArrayLike<number>, b: ArrayLike<number>): ErrorSums {
  if (a.length !== b.length) throw new FedStreamError('bad-model', 'the models have other dtypes, which cannot be compared');
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
