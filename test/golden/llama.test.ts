// The built-in trainer against transformers' LlamaForCausalLM: logits, loss and gradients of the
// same weights (scripts/golden/make-llama-golden.py).
import { expect, test } from 'vitest';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { IGNORED } from '../../src/trainer/llama/batch.js';
import { parseLlamaConfig } from '../../src/trainer/llama/config.js';
import { oneThreadEngine } from '../trainer/one-thread.js';
import { expectGradient, expectLogits, goldenTensors } from './golden-tensors.js';

const SIZE = { maxBatch: 2, maxSequence: 24, threads: 1 };
const OPTIMIZER = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, clipNorm: 1 };

const { tensors, configs, floats, integers } = await goldenTensors('llama.safetensors');

async function engineOf(name: string) {
  const config = parseLlamaConfig(configs[name] as string, name);
  const engine = await oneThreadEngine({ config, size: SIZE, optimizer: OPTIMIZER });
  const prefix = `${name}.weight.`;
  const weights = [...tensors].filter(([key]) => key.startsWith(prefix));
  await engine.load(
    memoryStateDict(weights.map(([key, { shape, data }]) => ({ name: key.slice(prefix.length), dtype: 'F32', shape, data }))),
  );
  return engine;
}

test.each(['tied', 'untied'])('%s: logits are those of transformers within 1e-4', async (name) => {
  const engine = await engineOf(name);
  const logits = await engine.logits(integers(`${name}.tokens`), 2, 21);
  expectLogits(logits, floats(`${name}.logits`));
  await engine.close();
});

test.each(['tied', 'untied'])('%s: loss and every gradient are those of transformers', async (name) => {
  const engine = await engineOf(name);
  // transformers shifts the labels itself: position i predicts label i + 1.
  const labels = integers(`${name}.labels`);
  const targets = labels.map((_, i) => (i % 21 === 20 ? IGNORED : (labels[i + 1] as number)));
  const { loss, gradients } = await engine.lossAndGradients({ tokens: integers(`${name}.tokens`), targets, batch: 2, sequence: 21 });
  expect(loss).toBeCloseTo(floats(`${name}.loss`)[0] as number, 5);
  for await (const { tensor, bytes } of gradients.chunks()) {
    expectGradient(tensor.name, bytes, floats(`${name}.gradient.${tensor.name}`));
  }
  await engine.close();
});
