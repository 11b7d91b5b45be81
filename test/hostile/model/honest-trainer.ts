// The trainer of an honest site: it learns something of its own as soon as the gate of the round
// is open.
import { memoryStateDict } from '../../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../../src/tensor/state-dict.js';
import type { Trainer } from '../../../src/trainer/trainer.js';

export function honestTrainer(index: number, gate: (round: number) => Promise<void>): Trainer {
  return {
    async train({ round, onStep }, model) {
      await gate(round);
      onStep({ step: round, loss: 1, learningRate: 1, tokens: 1 });
      return { model: await learnt(model, index, round), samples: index + 1, steps: 1, trainLoss: 1 };
    },
    evaluate: async () => ({ loss: 1 + index, samples: 1 }),
    close: async () => {},
  };
}

async function learnt(model: StateDict, index: number, round: number): Promise<StateDict> {
  const parts = new Map<string, Float32Array[]>();
  for await (const { tensor, bytes } of model.chunks()) {
    const values = new Float32Array(bytes.slice().buffer);
    parts.set(tensor.name, [
      ...(parts.get(tensor.name) ?? []),
      values.map((value, i) => 0.99 * value + 0.01 * Math.sin(i * (index + 2) + round)),
    ]);
  }
  return memoryStateDict(
    model.manifest.tensors.map(({ name, shape }) => {
      const data = new Float32Array((parts.get(name) ?? []).flatMap((part) => [...part]));
      return { name, dtype: 'F32' as const, shape, data };
    }),
  );
}
