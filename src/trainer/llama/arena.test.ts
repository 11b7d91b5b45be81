// The memory that training takes, by model and batch.
import { expect, test } from 'vitest';
import { type ArenaSize, layOutArena } from './arena.js';
import type { LlamaConfig } from './config.js';

const SMOLLM2_135M: LlamaConfig = {
  hiddenSize: 576,
  layers: 30,
  heads: 9,
  kvHeads: 3,
  headDim: 64,
  ffnSize: 1536,
  vocabularySize: 49_152,
  maxPositions: 8192,
  tied: true,
  ropeTheta: 100_000,
  rmsEps: 1e-5,
  initializerRange: 0.04,
};

/** Bytes of training, in those of the weights in float32. */
function timesWeights(size: Partial<ArenaSize>): number {
  const { totalBytes, parameters } = layOutArena(SMOLLM2_135M, { maxBatch: 2, maxSequence: 256, threads: 2, ...size });
  return totalBytes / (parameters.total * 4);
}

test('weights, gradients and moments are four times the weights, and all the rest is little', () => {
  expect(timesWeights({ microBatches: 1 })).toBeLessThan(4.2);
  // Without room in the gradients, activations come on top.
  expect(timesWeights({})).toBeGreaterThan(4.7);
  expect(timesWeights({})).toBeLessThan(4.9);
});

test('a batch too large for the gradients’ room has the rest of its activations elsewhere', () => {
  const larger = { maxBatch: 8, maxSequence: 256 };
  expect(timesWeights({ ...larger, microBatches: 1 })).toBeLessThan(timesWeights(larger) - 0.6);
});

test('no activations of two layers overlap, and none lies in the gradients of its own layer or a later one', () => {
  for (const maxBatch of [2, 8]) {
    const arena = layOutArena(SMOLLM2_135M, { maxBatch, maxSequence: 256, threads: 1, microBatches: 1 });
    const seen = new Set<number>();
    for (const [index, layer] of arena.layers.entries()) {
      const own = arena.gradients + arena.parameters.at(`model.layers.${index}.self_attn.q_proj.weight`) * 4;
      for (const at of Object.values(layer).filter((value) => value > 0)) {
        expect(seen.has(at)).toBe(false);
        seen.add(at);
        expect(at < own || at >= arena.firstMoments).toBe(true);
      }
    }
  }
});
