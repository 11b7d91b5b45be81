// The stack of an adapter that is averaged exactly: products that go beside the base's weights, a
// pair of factors for each module (docs/lora.md).
import { FedStreamError } from '../core/errors.js';
import { besideFactor, type LoraPair, loraPairs } from './lora-pairs.js';
import type { Manifest } from './manifest.js';
import { selectTensors } from './select-tensors.js';
import type { StateDict } from './state-dict.js';

/** The name of the extra, and the word in the names of its tensors: `….stack_A.weight`. */
export const STACK = 'stack';

/** The stack alone, of what an `exact` round has kept beside the factors. */
export function stackOf(kept: StateDict): StateDict {
  const names = new Set(loraPairs(kept.manifest).flatMap(({ a, b }) => [besideFactor(a, STACK), besideFactor(b, STACK)]));
  return selectTensors(kept, ({ name }) => names.has(name));
}

/**
 * Checks that a stack goes with an adapter: two factors of as many terms for some of its modules, at
 * most as many as the module's weight has rows or columns. Throws `bad-model`, naming the tensor.
 */
export function checkStack({ tensors }: Manifest, adapter: Manifest): void {
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  for (const pair of loraPairs(adapter)) {
    const [a, b] = [besideFactor(pair.a, STACK), besideFactor(pair.b, STACK)];
    const [rows, columns] = [shapes.get(a), shapes.get(b)];
    if (!rows && !columns) continue;
    if (!rows || !columns || !fits(rows, columns, pair))
      throw new FedStreamError(
        'bad-model',
        `${a} [${rows?.join(', ')}] and ${b} [${columns?.join(', ')}] are no stack beside a weight of [${pair.outputs}, ${pair.inputs}]`,
      );
    shapes.delete(a);
    shapes.delete(b);
  }
  for (const name of shapes.keys()) throw new FedStreamError('bad-model', `${name} of the stack belongs to no module of the adapter`);
}

function fits(rows: readonly number[], columns: readonly number[], { inputs, outputs }: LoraPair): boolean {
  const [terms = 0, width] = rows;
  const [height, also] = columns;
  const whole = rows.length === 2 && columns.length === 2 && terms === also && width === inputs && height === outputs;
  return whole && terms <= Math.min(inputs, outputs);
}
