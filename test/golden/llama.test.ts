// The built-in trainer against transformers' LlamaForCausalLM: logits, loss and gradients of the
// same weights (scripts/golden/make-llama-golden.py).
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { openSafetensors } from '../../src/tensor/safetensors.js';
import { IGNORED } from '../../src/trainer/llama/batch.js';
import { parseLlamaConfig } from '../../src/trainer/llama/config.js';
import { oneThreadEngine } from '../trainer/one-thread.js';

const SIZE = { maxBatch: 2, maxSequence: 24, threads: 1 };
const OPTIMIZER = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, clipNorm: 1 };

const { tensors, configs } = await readGolden();

async function readGolden() {
  const file = await openSafetensors(nodeFolder(fileURLToPath(new URL('.', import.meta.url))), 'llama.safetensors');
  const found = new Map<string, { shape: readonly number[]; data: Uint8Array }>();
  for await (const { tensor, bytes } of file.chunks()) found.set(tensor.name, { shape: tensor.shape, data: bytes.slice() });
  await file.close?.();
  return { tensors: found, configs: file.manifest.metadata };
}

const bytesOf = (name: string): Uint8Array => (tensors.get(name) as { data: Uint8Array }).data;
const floats = (name: string): Float32Array => new Float32Array(bytesOf(name).buffer);
const integers = (name: string): Int32Array => new Int32Array(bytesOf(name).buffer);

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
  const expected = floats(`${name}.logits`);
  expect(logits).toHaveLength(expected.length);
  const furthest = logits.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] as number))), 0);
  expect(furthest).toBeLessThan(1e-4);
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
    const expected = floats(`${name}.gradient.${tensor.name}`);
    const found = new Float32Array(bytes.slice().buffer);
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    // One assertion a tensor: an `expect` for each of its values takes longer than the model.
    const far = found.findIndex((value, i) => !(Math.abs(value - (expected[i] as number)) < 1e-4 * largest + 1e-6));
    expect(far, `${tensor.name}[${far}] is ${found[far]}, not ${expected[far]}`).toBe(-1);
  }
  await engine.close();
});
