// Adapters of scripted sites: two modules of low-rank factors, and the weights that they stand for.
import type { StateDict } from '../../src/tensor/state-dict.js';
import { type Shapes, type Values, valuesOf } from './scripted.js';

/** The modules of an adapter. */
export const MODULES = ['model.q', 'model.v'];

/** An adapter as PEFT begins: A is random, B zero. `q` is [outputs × inputs], `v` the other way round. */
export function adapter(rank: number, outputs: number, inputs: number): { readonly start: Values; readonly shapes: Shapes } {
  const start: Record<string, Float32Array> = {};
  const shapes: Record<string, readonly number[]> = {};
  for (const [index, module] of MODULES.entries()) {
    const [rows, columns] = index === 0 ? [outputs, inputs] : [inputs, outputs];
    start[`${module}.lora_A.weight`] = Float32Array.from({ length: rank * columns }, (_, i) => 0.3 * Math.sin(i * 12.9898 + index));
    start[`${module}.lora_B.weight`] = new Float32Array(rows * rank);
    shapes[`${module}.lora_A.weight`] = [rank, columns];
    shapes[`${module}.lora_B.weight`] = [rows, rank];
  }
  return { start, shapes };
}

/** `B × A` of a module, dense, in float64. */
export function productOf(values: Values, module: string, [a, b] = ['lora_A.weight', 'lora_B.weight']): Float64Array {
  const [left, right] = [values[`${module}.${b}`] as Float32Array, values[`${module}.${a}`] as Float32Array];
  const size = MODULES.indexOf(module) === 0 ? { rows: 40, columns: 30 } : { rows: 30, columns: 40 };
  const rank = left.length / size.rows;
  const product = new Float64Array(size.rows * size.columns);
  for (let i = 0; i < size.rows; i++)
    for (let k = 0; k < rank; k++)
      for (let j = 0; j < size.columns; j++)
        product[i * size.columns + j] =
          (product[i * size.columns + j] as number) + (left[i * rank + k] as number) * (right[k * size.columns + j] as number);
  return product;
}

/** The product of a module with the stack that came beside it. */
export async function effectiveOf(values: Values, module: string, stack?: StateDict): Promise<Float64Array> {
  const product = productOf(values, module);
  if (!stack) return product;
  const beside = productOf(await valuesOf(stack), module, ['stack_A.weight', 'stack_B.weight']);
  return product.map((value, i) => value + (beside[i] as number));
}

/** The weighted mean of matrices. */
export function meanOf(matrices: readonly Float64Array[], weights: readonly number[]): Float64Array {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return (matrices[0] as Float64Array).map((_, i) =>
    matrices.reduce((sum, matrix, site) => sum + ((weights[site] as number) / total) * (matrix[i] as number), 0),
  );
}

/** The largest difference between two matrices, relative to the largest value of the second. */
export function apart(found: Float64Array, wanted: Float64Array): number {
  const size = Math.max(...wanted.map(Math.abs));
  return Math.max(...found.map((value, i) => Math.abs(value - (wanted[i] as number)))) / size;
}
