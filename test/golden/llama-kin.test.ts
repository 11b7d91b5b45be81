// The built-in trainer against the architectures of transformers that it knows, each from a
// `config.json` as people have it: logits, gradients, and the losses of some AdamW steps
// (scripts/golden/make-llama-kin-golden.py).
import { expect, test } from 'vitest';
import { startLlamaEngine } from '../../src/node/trainer/llama-host.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { IGNORED } from '../../src/trainer/llama/batch.js';
import { parseLlamaConfig } from '../../src/trainer/llama/config.js';
import type { LlamaEngine } from '../../src/trainer/llama/engine.js';
import { llamaParameters } from '../../src/trainer/llama/parameters.js';
import { oneThreadEngine } from '../trainer/one-thread.js';
import { expectGradient, expectLogits, goldenTensors } from './golden-tensors.js';

const { tensors, configs, floats, integers } = await goldenTensors('llama-kin.safetensors');
const CASES = Object.keys(configs).sort();

/** The values that the script gives a tensor of this name. */
function valuesOf(name: string, shape: readonly number[], elements: number): Float32Array {
  let digest = 2166136261;
  for (let i = 0; i < name.length; i++) digest = Math.imul(digest ^ name.charCodeAt(i), 16777619);
  return Float32Array.from({ length: elements }, (_, i) => {
    let x = Math.imul(i + 1, 2654435761) ^ digest;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    x ^= x >>> 16;
    const value = Math.fround((x >>> 8) / 2 ** 24 - 0.5);
    return shape.length > 1 ? value * 0.75 : name.endsWith('.bias') ? value : value + 1;
  });
}

async function engineOf(name: string, threads = 1): Promise<LlamaEngine> {
  const config = parseLlamaConfig(configs[name] as string, name);
  const optimizer = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 };
  const start = threads === 1 ? oneThreadEngine : startLlamaEngine;
  const engine = await start({ config, size: { maxBatch: 2, maxSequence: 80, threads }, optimizer });
  const weights = llamaParameters(config).list.map(({ name, shape, elements }) => ({ name, shape, data: valuesOf(name, shape, elements) }));
  await engine.load(memoryStateDict(weights.map((tensor) => ({ ...tensor, dtype: 'F32' }))));
  return engine;
}

function batchOf(name: string) {
  const { shape } = tensors.get(`${name}.tokens`) as { shape: readonly number[] };
  const [batch, sequence] = shape as [number, number];
  const tokens = integers(`${name}.tokens`);
  // transformers shifts the labels itself, position i predicts label i + 1; the first five are none.
  const targets = tokens.map((_, i) => (i % sequence < 4 || i % sequence === sequence - 1 ? IGNORED : (tokens[i + 1] as number)));
  return { tokens, targets, batch, sequence };
}

test('there are the cases that the script has', () => {
  expect(CASES).toHaveLength(22);
});

test.each(CASES)('%s: logits are those of transformers within 1e-4', async (name) => {
  const engine = await engineOf(name);
  const { tokens, batch, sequence } = batchOf(name);
  const logits = await engine.logits(tokens, batch, sequence);
  expectLogits(logits, floats(`${name}.logits`));
  await engine.close();
});

test.each(CASES)('%s: loss and gradients are those of transformers', async (name) => {
  const engine = await engineOf(name);
  const { loss, gradients } = await engine.lossAndGradients(batchOf(name));
  expect(loss).toBeCloseTo(floats(`${name}.losses`)[0] as number, 5);
  let compared = 0;
  for await (const { tensor, bytes } of gradients.chunks()) {
    if (!tensors.has(`${name}.gradient.${tensor.name}`)) continue;
    expectGradient(tensor.name, bytes, floats(`${name}.gradient.${tensor.name}`));
    compared++;
  }
  expect(compared).toBe([...tensors.keys()].filter((key) => key.startsWith(`${name}.gradient.`)).length);
  await engine.close();
});

test.each(CASES)('%s: AdamW makes the losses of torch, step by step', async (name) => {
  const engine = await engineOf(name);
  const batch = batchOf(name);
  for (const [step, expected] of floats(`${name}.losses`).entries()) {
    const { loss } = await engine.trainStep([batch], 1e-3);
    expect(loss, `step ${step}`).toBeCloseTo(expected, 4);
  }
  await engine.close();
});

async function trained(name: string, threads: number): Promise<Buffer> {
  const engine = await engineOf(name, threads);
  for (let step = 0; step < 3; step++) await engine.trainStep([batchOf(name)], 0.01);
  const parts: Uint8Array[] = [];
  for await (const { bytes } of engine.weights().chunks()) parts.push(bytes.slice());
  await engine.close();
  return Buffer.concat(parts);
}

// Windows, norms of heads, biases, and layers that differ; test/trainer has all of them in one model.
const SHARED_OUT = ['mistral', 'qwen3, biases, one key head', 'smollm3, layers named'];

test.each(SHARED_OUT)('%s: one, two and three threads give the same bits', async (name) => {
  const one = await trained(name, 1);
  for (const threads of [2, 3]) expect((await trained(name, threads)).equals(one), `${threads} threads`).toBe(true);
});
