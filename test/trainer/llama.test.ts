// The engine against the float64 reference, against itself on other numbers of threads, and over a
// stop.
import { expect, test } from 'vitest';
import { randomStream } from '../../src/core/random.js';
import { startLlamaEngine } from '../../src/node/trainer/llama-host.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import type { Batch } from '../../src/trainer/llama/batch.js';
import type { LlamaConfig } from '../../src/trainer/llama/config.js';
import type { LlamaEngine } from '../../src/trainer/llama/engine.js';
import { referenceLogits, referenceLoss } from '../../src/trainer/llama/reference.js';
import { oneThreadEngine } from './one-thread.js';

const BASE: LlamaConfig = {
  hiddenSize: 24,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 6,
  ffnSize: 40,
  vocabularySize: 37,
  maxPositions: 64,
  tied: true,
  ropeTheta: 10_000,
  rmsEps: 1e-5,
  initializerRange: 0.2,
};

/**
 * Configurations: tied, untied with one head for each key, odd sizes with heads wider than the
 * model, and one group.
 */
const CONFIGS: Record<string, LlamaConfig> = {
  'tied, grouped': BASE,
  'untied, no groups': { ...BASE, tied: false, kvHeads: 4 },
  'every part': {
    ...BASE,
    qkvBias: true,
    outputBias: true,
    mlpBias: true,
    qkNorm: true,
    windows: [5, undefined],
    unrotated: [false, true],
    ropeScaling: {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 32,
    },
    padToken: 3,
  },
  'every part, odd sizes': {
    ...BASE,
    tied: false,
    hiddenSize: 22,
    headDim: 10,
    heads: 3,
    kvHeads: 1,
    ffnSize: 33,
    vocabularySize: 41,
    qkvBias: true,
    outputBias: true,
    mlpBias: true,
    qkNorm: true,
    windows: [33, 2],
    ropeScaling: { rope_type: 'linear', factor: 2 },
  },
  'odd sizes': { ...BASE, hiddenSize: 22, headDim: 10, heads: 3, kvHeads: 1, ffnSize: 33, vocabularySize: 41 },
};

const OPTIMIZER = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 };

function engineOf(config: LlamaConfig, threads = 1): Promise<LlamaEngine> {
  const start = threads === 1 ? oneThreadEngine : startLlamaEngine;
  return start({ config, size: { maxBatch: 4, maxSequence: 40, threads }, optimizer: OPTIMIZER });
}

function batchOf(config: LlamaConfig, batch: number, sequence: number, seed = 1): Batch {
  const random = randomStream(seed, 'batch');
  const tokens = Int32Array.from({ length: batch * sequence }, () => random.integer(config.vocabularySize));
  const targets = tokens.map((_, i) => (i % sequence < 3 ? -100 : random.integer(config.vocabularySize)));
  return { tokens, targets, batch, sequence };
}

async function tensorsOf(model: StateDict): Promise<Map<string, Float32Array>> {
  const tensors = new Map<string, Float32Array>();
  for await (const { tensor, bytes } of model.chunks()) tensors.set(tensor.name, new Float32Array(bytes.slice().buffer));
  return tensors;
}

async function weightsOf(engine: LlamaEngine): Promise<Map<string, Float64Array>> {
  return new Map([...(await tensorsOf(engine.weights()))].map(([name, values]) => [name, Float64Array.from(values)]));
}

test.each(Object.entries(CONFIGS))('%s: loss and logits are those of the reference', async (_, config) => {
  const engine = await engineOf(config);
  engine.initialize(7);
  const weights = await weightsOf(engine);
  const batch = batchOf(config, 3, 37);
  const { lossSum, targetTokens } = await engine.evaluate(batch);
  expect(lossSum / targetTokens).toBeCloseTo(referenceLoss(config, weights, batch), 5);
  const logits = await engine.logits(batch.tokens, 3, 37);
  const expected = referenceLogits(config, weights, batch.tokens.subarray(37, 74));
  for (const [position, row] of expected.entries()) {
    const found = logits.subarray((37 + position) * config.vocabularySize);
    const furthest = row.reduce((most, value, j) => Math.max(most, Math.abs((found[j] as number) - value)), 0);
    expect(furthest, `position ${position}`).toBeLessThan(2e-4);
  }
  await engine.close();
});

test.each(Object.entries(CONFIGS))('%s: every tensor’s gradient is the finite difference of the reference', async (_, config) => {
  const engine = await engineOf(config);
  engine.initialize(7);
  const weights = await weightsOf(engine);
  const batch = batchOf(config, 2, 9);
  const { gradients } = await engine.lossAndGradients(batch);
  const found = await tensorsOf(gradients);
  const random = randomStream(3, 'elements');
  for (const [name, values] of weights) {
    const gradient = found.get(name) as Float32Array;
    for (let sample = 0; sample < 6; sample++) {
      const at = random.integer(values.length);
      const kept = values[at] as number;
      values[at] = kept + 1e-5;
      const above = referenceLoss(config, weights, batch);
      values[at] = kept - 1e-5;
      const below = referenceLoss(config, weights, batch);
      values[at] = kept;
      const difference = (above - below) / 2e-5;
      expect(Math.abs((gradient[at] as number) - difference), `${name}[${at}]`).toBeLessThan(2e-5 + 1e-4 * Math.abs(difference));
    }
  }
  await engine.close();
});

async function trained(config: LlamaConfig, threads: number): Promise<{ losses: number[]; weights: Map<string, Float32Array> }> {
  const engine = await engineOf(config, threads);
  engine.initialize(11);
  const losses: number[] = [];
  for (let step = 0; step < 4; step++)
    losses.push((await engine.trainStep([batchOf(config, 4, 40 - step, step), batchOf(config, 3, 17, step)], 0.01)).loss);
  const weights = await tensorsOf(engine.weights());
  await engine.close();
  return { losses, weights };
}

test.each(Object.entries(CONFIGS))('%s: one, two and three threads give the same bits', async (_, config) => {
  const one = await trained(config, 1);
  for (const threads of [2, 3]) {
    const many = await trained(config, threads);
    expect(many.losses).toEqual(one.losses);
    for (const [name, values] of one.weights)
      expect(Buffer.from((many.weights.get(name) as Float32Array).buffer).equals(Buffer.from(values.buffer)), name).toBe(true);
  }
});

test('training on one batch brings its loss down, and the greedy answer becomes exact', async () => {
  const engine = await engineOf(BASE);
  engine.initialize(5);
  const batch = batchOf(BASE, 2, 12);
  const first = (await engine.trainStep([batch], 0.01)).loss;
  for (let step = 0; step < 150; step++) await engine.trainStep([batch], 0.01);
  const { lossSum, targetTokens, exact } = await engine.evaluate(batch);
  expect(lossSum / targetTokens).toBeLessThan(first / 20);
  expect(exact).toEqual([true, true]);
  await engine.close();
});

test('two micro-batches equal one large batch', async () => {
  const whole = batchOf(BASE, 4, 16);
  const half = (from: number): Batch => ({
    tokens: whole.tokens.slice(from * 16, (from + 2) * 16),
    targets: whole.targets.slice(from * 16, (from + 2) * 16),
    batch: 2,
    sequence: 16,
  });
  const results = [];
  for (const micro of [[whole], [half(0), half(2)]]) {
    const engine = await engineOf(BASE);
    engine.initialize(2);
    results.push(await engine.trainStep(micro, 0.01));
    await engine.close();
  }
  expect(results[1]?.loss).toBeCloseTo(results[0]?.loss as number, 6);
  expect(results[1]?.gradientNorm).toBeCloseTo(results[0]?.gradientNorm as number, 5);
});

test('activations in the memory of gradients change no bit, and a second micro-batch is refused', async () => {
  for (const config of [BASE, CONFIGS['every part, odd sizes'] as LlamaConfig]) {
    const results = [];
    for (const microBatches of [undefined, 1]) {
      // Of the longer batch, some activations fit into the gradients of a layer and others do not.
      const size = { maxBatch: 4, maxSequence: 40, threads: 2, microBatches };
      const engine = await startLlamaEngine({ config, size, optimizer: OPTIMIZER });
      engine.initialize(4);
      for (let step = 0; step < 3; step++) {
        await engine.trainStep([batchOf(config, 4, 37, step)], 0.01);
        await engine.evaluate(batchOf(config, 2, 21, step));
      }
      results.push(await tensorsOf(engine.saveState()));
      if (microBatches === 1)
        await expect(engine.trainStep([batchOf(config, 1, 9), batchOf(config, 1, 9)], 0.01)).rejects.toThrow(
          'a step has 2 micro-batches; the trainer was made for 1',
        );
      await engine.close();
    }
    expect(results[1]).toEqual(results[0]);
  }
});

test('targets beyond a block of the head: logits of the reference, and gradients that add up', async () => {
  const [batch, sequence] = [9, 40];
  const engine = await oneThreadEngine({
    config: BASE,
    size: { maxBatch: batch, maxSequence: sequence, threads: 1 },
    optimizer: OPTIMIZER,
  });
  engine.initialize(3);
  const weights = await weightsOf(engine);
  const whole = batchOf(BASE, batch, sequence);
  const targets = whole.tokens.map((token) => (token + 1) % BASE.vocabularySize);
  const logits = await engine.logits(whole.tokens, batch, sequence);
  for (const first of [0, 6 * sequence, 8 * sequence]) {
    const expected = referenceLogits(BASE, weights, whole.tokens.subarray(first, first + sequence));
    for (const [position, row] of expected.entries())
      for (const [j, value] of row.entries())
        expect(Math.abs((logits[(first + position) * BASE.vocabularySize + j] as number) - value)).toBeLessThan(2e-4);
  }
  const gradientsOf = async (from: number, to: number) => {
    const [start, end] = [from * sequence, to * sequence];
    const part = { tokens: whole.tokens.slice(start, end), targets: targets.slice(start, end), batch: to - from, sequence };
    const { loss, gradients } = await engine.lossAndGradients(part);
    return { loss, embedding: (await tensorsOf(gradients)).get('model.embed_tokens.weight') as Float32Array };
  };
  const all = await gradientsOf(0, 9);
  const parts = [await gradientsOf(0, 3), await gradientsOf(3, 6), await gradientsOf(6, 9)];
  expect(all.loss).toBeCloseTo(
    parts.reduce((sum, { loss }) => sum + loss / 3, 0),
    5,
  );
  for (const [i, value] of all.embedding.entries())
    expect(value).toBeCloseTo(
      parts.reduce((sum, { embedding }) => sum + (embedding[i] as number) / 3, 0),
      5,
    );
  await engine.close();
});

/** A copy that outlives the engine. */
async function copyOf(model: StateDict): Promise<StateDict> {
  const data = await tensorsOf(model);
  const tensors = model.manifest.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape, data: data.get(name) as Float32Array }));
  return memoryStateDict(tensors, { metadata: model.manifest.metadata });
}

test('training that resumes from saved weights and optimizer gives the same bits', async () => {
  const steps = async (engine: LlamaEngine, from: number, to: number) => {
    for (let step = from; step < to; step++) await engine.trainStep([batchOf(BASE, 3, 20, step)], 0.01);
  };
  const straight = await engineOf(BASE);
  straight.initialize(9);
  await steps(straight, 0, 6);
  const before = await engineOf(BASE);
  before.initialize(9);
  await steps(before, 0, 3);
  const after = await engineOf(BASE);
  await after.load(await copyOf(before.weights()));
  await after.loadOptimizer(await copyOf(before.saveOptimizer()));
  await steps(after, 3, 6);
  expect(await tensorsOf(after.weights())).toEqual(await tensorsOf(straight.weights()));
  for (const engine of [straight, before, after]) await engine.close();
});

test('a model that does not fit is refused with the name of the tensor', async () => {
  const engine = await engineOf(BASE);
  const other = await engineOf({ ...BASE, ffnSize: 48 });
  await expect(engine.load(other.weights())).rejects.toThrow(/model\.layers\.0\.mlp\.gate_proj\.weight is F32 \[48, 24\]/);
  await expect(engine.trainStep([batchOf({ ...BASE, vocabularySize: 500 }, 1, 20)], 0.01)).rejects.toThrow(
    /outside of the model's vocabulary of 37/,
  );
  await expect(engine.trainStep([batchOf(BASE, 4, 41)], 0.01)).rejects.toThrow(/does not fit/);
  for (const one of [engine, other]) await one.close();
});

test('a NaN loss stops training before the weights change', async () => {
  const engine = await engineOf(BASE);
  engine.initialize(1);
  const weights = await tensorsOf(engine.weights());
  const norm = weights.get('model.norm.weight') as Float32Array;
  norm[0] = Number.NaN;
  const tensors = [...weights].map(([name, data]) => ({
    name,
    dtype: 'F32' as const,
    shape: engine.weights().manifest.tensors.find((tensor) => tensor.name === name)?.shape ?? [],
    data,
  }));
  await engine.load(memoryStateDict(tensors));
  await expect(engine.trainStep([batchOf(BASE, 1, 9)], 0.01)).rejects.toThrow(/lower the learning rate/);
  await engine.close();
});

test('a model beyond 4 GiB is refused with the reason', async () => {
  await expect(
    engineOf({ ...BASE, hiddenSize: 8192, heads: 64, kvHeads: 8, headDim: 128, ffnSize: 28_672, layers: 80, vocabularySize: 128_256 }),
  ).rejects.toThrow(/needs \d+\.\d GiB/);
});
