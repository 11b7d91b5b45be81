// Small models of any dtype, written as numbers, for tables of situations.
import { DTYPES, type Dtype } from '../../src/tensor/dtype.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { float64Of } from '../../src/tensor/number-values.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { narrowInto, widenInto } from '../../src/tensor/widen.js';
import type { Trainer } from '../../src/trainer/trainer.js';

/** A tensor; dtypes that have no numbers here are given as the value of every byte. */
export interface Tensor {
  readonly dtype?: Dtype;
  readonly shape?: readonly number[];
  readonly values: readonly number[];
}

export type Tensors = Readonly<Record<string, Tensor>>;

export const numbers = (...values: number[]): Tensor => ({ values });
export const of = (dtype: Dtype, ...values: number[]): Tensor => ({ dtype, values });

const ARRAYS: Partial<Record<Dtype, (values: readonly number[]) => ArrayBufferView>> = {
  F64: (values) => Float64Array.from(values),
  C64: (values) => Float32Array.from(values),
  I8: (values) => Int8Array.from(values),
  I16: (values) => Int16Array.from(values),
  U16: (values) => Uint16Array.from(values),
  I32: (values) => Int32Array.from(values),
  U32: (values) => Uint32Array.from(values),
  I64: (values) => BigInt64Array.from(values, BigInt),
  U64: (values) => BigUint64Array.from(values, BigInt),
};

function bytesOf(dtype: Dtype, values: readonly number[]): ArrayBufferView {
  if (DTYPES[dtype].quantizable) return narrowInto(dtype, Float32Array.from(values), new Uint8Array(4 * values.length));
  return ARRAYS[dtype]?.(values) ?? Uint8Array.from(values);
}

/** One array for each tensor of a row: a tensor that stands under two names is the same array. */
const MADE = new WeakMap<Tensor, ArrayBufferView>();

export function modelOf(tensors: Tensors, tied: Readonly<Record<string, string>> = {}): StateDict {
  const list = Object.entries(tensors).map(([name, tensor]) => {
    const { dtype = 'F32', values, shape } = tensor;
    const data = MADE.get(tensor) ?? bytesOf(dtype, values);
    MADE.set(tensor, data);
    return { name, dtype, shape: shape ?? [(data.byteLength * 8) / DTYPES[dtype].bits], data };
  });
  return memoryStateDict(list, { tied });
}

export async function valuesOf(model: StateDict): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = Object.create(null);
  for (const { name } of model.manifest.tensors) found[name] = [];
  for await (const { tensor, bytes } of model.chunks()) {
    const { dtype } = tensor;
    const values = DTYPES[dtype].quantizable ? widenInto(dtype, bytes, new Float32Array(bytes.length)) : float64Of(dtype, bytes);
    for (const value of values ?? []) (found[tensor.name] as number[]).push(value);
  }
  return found;
}

/** A trainer that returns this result, whatever it is given. */
export function trainerOf(result: Tensors, samples: number): Trainer {
  return {
    train: async () => ({ model: modelOf(result), samples, steps: 1, trainLoss: 1 }),
    evaluate: async () => undefined,
    close: async () => {},
  };
}
