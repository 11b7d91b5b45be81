// Measures the built-in trainer's reference training step: milliseconds, GFLOP/s and memory, on one
// thread and on two.
import { wholeNumber } from '../dist/cli/options.js';
import { startLlamaEngine } from '../dist/node/trainer/llama-host.js';
import { llamaParameters } from '../dist/trainer/llama/parameters.js';
import { benchCommand } from './command.mjs';

const { steps } = benchCommand(
  'train-step.mjs',
  'The reference training step of the built-in trainer: milliseconds, GFLOP/s and memory, on one thread and on two.',
  [['', '8 steps each, of which the best counts: seconds']],
)
  .option('--steps <number>', 'steps of which the best counts', wholeNumber(1), 8)
  .parse()
  .opts();

const config = {
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
const optimizer = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1 };
const [batch, sequence] = [8, 128];

const rows = batch * sequence;
const parameters = llamaParameters(config).list.reduce((sum, { elements }) => sum + elements, 0);
// Counted as in nanoGPT and PaLM (appendix B): 6 for each parameter and token in the matrices (the
// embedding is the head's), 12 for each layer, position and head value in attention.
const flop = 6 * parameters * rows + 12 * config.layers * config.heads * config.headDim * sequence * rows;

const best = {};
for (const threads of [1, 2]) {
  const engine = await startLlamaEngine({ config, size: { maxBatch: batch, maxSequence: sequence, threads }, optimizer });
  engine.initialize(1);
  const tokens = Int32Array.from({ length: rows }, (_, i) => (i * 7919) % config.vocabularySize);
  const micro = { tokens, targets: tokens.map((token) => (token * 31) % config.vocabularySize), batch, sequence };
  await engine.trainStep([micro], 1e-3);
  best[threads] = Number.POSITIVE_INFINITY;
  for (let step = 0; step < steps; step++) {
    const startedMs = performance.now();
    await engine.trainStep([micro], 1e-3);
    best[threads] = Math.min(best[threads], performance.now() - startedMs);
  }
  const rssMb = process.memoryUsage.rss() / 1e6;
  console.log(
    `${threads} thread${threads > 1 ? 's' : ' '}  ${best[threads].toFixed(0)} ms a step  ${(flop / best[threads] / 1e6).toFixed(1)} GFLOP/s  engine ${(engine.memoryBytes / 1e6).toFixed(0)} MB  process ${rssMb.toFixed(0)} MB`,
  );
  await engine.close();
}
console.log(
  `${(parameters / 1e6).toFixed(2)} M parameters, ${(flop / 1e9).toFixed(1)} GFLOP a step; two threads are ${(best[1] / best[2]).toFixed(2)} times as fast as one`,
);
