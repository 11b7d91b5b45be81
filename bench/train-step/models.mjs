// The models whose step is measured, and the size of a batch of each.

/** A small one, whose step takes a fraction of a second. */
const reference = {
  hiddenSize: 192,
  layers: 4,
  heads: 6,
  kvHeads: 2,
  headDim: 32,
  ffnSize: 512,
  vocabularySize: 1024,
  maxPositions: 128,
  tied: true,
  ropeTheta: 10_000,
  rmsEps: 1e-5,
  initializerRange: 0.02,
};

/** The sizes of SmolLM2-135M (its config.json); the weights are random. */
const smollm2 = {
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
  initializerRange: 0.041_666_666_666_666_664,
};

export const MODELS = {
  reference: { config: reference, batch: 8, sequence: 128 },
  'smollm2-135m': { config: smollm2, batch: 2, sequence: 256 },
};

export const OPTIMIZER = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1 };
export const LEARNING_RATE = 1e-4;

/** Tokens and targets that both sides train on; every position counts. */
export function batchOf({ vocabularySize }, batch, sequence) {
  const tokens = Int32Array.from({ length: batch * sequence }, (_, i) => (i * 7919) % vocabularySize);
  return { tokens, targets: tokens.map((token) => (token * 31 + 7) % vocabularySize), batch, sequence };
}
