// The model and the trainer of scripted federations: each site learns something of its own.
import { DTYPES } from '../tensor/dtype.js';
import { type MemoryTensor, memoryStateDict } from '../tensor/memory-state-dict.js';
import type { StateDict } from '../tensor/state-dict.js';
import { narrowInto, widenInto } from '../tensor/widen.js';
import type { Trainer } from '../trainer/trainer.js';
import { check } from './checks.js';
import { evaluatedBytes } from './evaluated-bytes.js';
import { tensorsOf, weights } from './state-dicts.js';

/** A matrix, a vector and a counter. */
export function initialModel(): StateDict {
  return memoryStateDict([
    { name: 'w', dtype: 'F32', shape: [64, 48], data: weights(1, 64 * 48) },
    { name: 'norm', dtype: 'F32', shape: [1500], data: weights(2, 1500) },
    { name: 'steps', dtype: 'I64', shape: [1], data: BigInt64Array.of(7n) },
  ]);
}

/** Whatever comes with a task shows in what is learnt: extras, figures, and the round. */
export function learningTrainer(site: number, returns: readonly string[] = []): Trainer {
  return {
    async train({ round, signal, onStep, extras = {}, figures = {} }, model) {
      signal.throwIfAborted();
      onStep({ step: round, loss: 1, learningRate: 1, tokens: 1 });
      const more = Object.values(figures).reduce((sum, figure) => sum + figure, 0);
      const pulls = await Promise.all(Object.values(extras).map((extra) => tensorsOf(extra)));
      const learnt = await changed(model, (value, i, name) => {
        const pull = pulls.reduce((sum, values) => sum + at(values.get(name), i), 0);
        return 0.9 * value + 0.01 * Math.sin(i * (site + 1) + round) + 1e-3 * (more + pull);
      });
      const back: Record<string, StateDict> = {};
      for (const name of returns) {
        const extra = extras[name];
        check(extra !== undefined, `the task has no extra ${JSON.stringify(name)} to return`);
        back[name] = await changed(extra, (value, i) => 0.5 * value + 0.01 * Math.cos(i * (site + 1) + round));
      }
      return { model: learnt, samples: site + 1, steps: 1, trainLoss: 1, ...(returns.length > 0 && { extras: back }) };
    },
    async knows() {
      return ['mu', 'personal', 'evaluation', ...returns];
    },
    evaluate: (model, signal) => evaluatedBytes(model, site, signal),
    close: async () => {},
  };
}

function at(bytes: Uint8Array | undefined, i: number): number {
  return bytes && 4 * i + 4 <= bytes.length ? new DataView(bytes.buffer, bytes.byteOffset).getFloat32(4 * i, true) : 0;
}

async function changed(model: StateDict, change: (value: number, i: number, name: string) => number): Promise<StateDict> {
  const content = await tensorsOf(model);
  const tensors = model.manifest.tensors.map(({ name, dtype, shape }): MemoryTensor => {
    const bytes = content.get(name) as Uint8Array;
    if (!DTYPES[dtype].quantizable) return { name, dtype, shape, data: bytes };
    const values = widenInto(dtype, bytes, new Float32Array((8 * bytes.length) / DTYPES[dtype].bits));
    for (let i = 0; i < values.length; i++) values[i] = change(values[i] as number, i, name);
    return { name, dtype, shape, data: narrowInto(dtype, values, new Uint8Array(bytes.length)) };
  });
  return memoryStateDict(tensors, { chunkElements: model.manifest.chunkElements });
}
