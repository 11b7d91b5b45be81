// Measures a training step and an evaluation of the built-in trainer: tokens/s, GFLOP/s, processor
// time and peak memory, on one thread and on two; with --torch beside torch on the same cores.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { wholeNumber } from '../dist/cli/options.js';
import { llamaParameters } from '../dist/trainer/llama/parameters.js';
import { benchCommand, listOf, oneOf } from './command.mjs';
import { startChild } from './train-step/child.mjs';
import { batchOf, LEARNING_RATE, MODELS, OPTIMIZER } from './train-step/models.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const values = benchCommand(
  'train-step.mjs',
  'A training step and an evaluation of the built-in trainer: tokens/s, GFLOP/s, processor time and peak memory.',
  [
    ['', 'a small model, 8 steps each, of which the best counts: seconds'],
    ['--model smollm2-135m --torch --steps 3', 'the sizes of SmolLM2-135M, in turns with torch: minutes'],
    ['--model smollm2-135m --before ../other --threads 2', 'in turns with another built tree'],
  ],
)
  .option('--model <name>', Object.keys(MODELS).join(', '), oneOf(Object.keys(MODELS)), 'reference')
  .option('--batch <number>', 'sequences; by default those of the model', wholeNumber(1))
  .option('--sequence <number>', 'tokens of each', wholeNumber(8))
  .option('--threads <list>', 'numbers of threads', listOf(wholeNumber(1)), [1, 2])
  .option('--steps <number>', 'steps of which the best counts', wholeNumber(1), 8)
  .option('--torch', 'the same with torch, in turns')
  .option('--before <folder>', 'the same with the build of another tree, in turns')
  .option('--python <program>', 'with torch and transformers', here('../.venv/bin/python'))
  .parse()
  .opts();

if (values.before && !existsSync(join(values.before, 'dist/trainer/llama'))) {
  console.error(`--before ${values.before}: there is no build in it; run node scripts/build.mjs there`);
  process.exit(2);
}
const { config } = MODELS[values.model];
const { batch = MODELS[values.model].batch, sequence = MODELS[values.model].sequence } = values;
const rows = batch * sequence;
const parameters = llamaParameters(config).list.reduce((sum, { elements }) => sum + elements, 0);
// Counted as in nanoGPT and PaLM (appendix B): 6 for each parameter and token in the matrices (the
// embedding is the head's), 12 for each layer, position and head value in attention. The forward
// pass is a third of it.
const flop = 6 * parameters * rows + 12 * config.layers * config.heads * config.headDim * sequence * rows;

function startEngine(tree, threads) {
  const setting = { tree, model: values.model, batch, sequence, threads };
  return startChild(process.execPath, [here('train-step/engine.mjs'), JSON.stringify(setting)]);
}

function startTorch(threads) {
  const { tokens, targets } = batchOf(config, batch, sequence);
  const setting = { config, optimizer: OPTIMIZER, learningRate: LEARNING_RATE, batch, sequence, threads };
  const text = JSON.stringify({ ...setting, tokens: [...tokens], targets: [...targets] });
  return startChild(values.python, [here('train-step/torch_step.py'), text]);
}

/** Steps of each side in turns, after one that warms it up; the best of each counts. */
async function measure(sides) {
  const best = new Map([...sides.keys()].map((name) => [name, {}]));
  for (let step = -1; step < values.steps; step++) {
    for (const [name, side] of sides) {
      for (const what of ['train', 'evaluate']) {
        const { seconds, cpuSeconds, peakMb } = await side.ask(what);
        const row = best.get(name);
        row.peakMb = peakMb;
        if (step < 0) continue;
        const least = row[what] ?? { seconds: Number.POSITIVE_INFINITY, cpuSeconds: Number.POSITIVE_INFINITY };
        row[what] = { seconds: Math.min(least.seconds, seconds), cpuSeconds: Math.min(least.cpuSeconds, cpuSeconds) };
      }
    }
  }
  return best;
}

function print(name, threads, { train, evaluate, peakMb }) {
  const figures = (what, { seconds, cpuSeconds }, work) =>
    `${what} ${(seconds * 1e3).toFixed(0)} ms  ${(rows / seconds).toFixed(0)} tokens/s  ${(work / seconds / 1e9).toFixed(1)} GFLOP/s  cpu ${cpuSeconds.toFixed(2)} s`;
  const of = `${name.padEnd(8)} ${threads} thread${threads > 1 ? 's' : ' '}`;
  console.log(`${of}  ${figures('step', train, flop)}  peak ${peakMb.toFixed(0)} MB`);
  console.log(`${of}  ${figures('evaluation', evaluate, flop / 3)}`);
}

console.log(
  `${values.model}: ${(parameters / 1e6).toFixed(2)} M parameters (${((parameters * 4) / 1e6).toFixed(0)} MB in float32), ${batch} × ${sequence} tokens, ${(flop / 1e9).toFixed(1)} GFLOP a step`,
);
for (const threads of values.threads) {
  const sides = new Map([['fedstream', await startEngine(here('..'), threads)]]);
  if (values.before) sides.set('before', await startEngine(resolve(values.before), threads));
  if (values.torch) sides.set('torch', await startTorch(threads));
  const best = await measure(sides);
  for (const [name, row] of best) print(name, threads, row);
  for (const side of sides.values()) side.close();
  const own = best.get('fedstream');
  for (const name of ['before', 'torch']) {
    const other = best.get(name);
    if (!other) continue;
    const ratio = (what, of) => (other[what][of] / own[what][of]).toFixed(2);
    console.log(
      `fedstream beside ${name}: tokens/s of a step ${ratio('train', 'seconds')} ×, of an evaluation ${ratio('evaluate', 'seconds')} ×; by processor time ${ratio('train', 'cpuSeconds')} × and ${ratio('evaluate', 'cpuSeconds')} ×; peak memory ${(own.peakMb / other.peakMb).toFixed(2)} ×`,
    );
  }
  console.log(`peak memory is ${((own.peakMb * 1e6) / (parameters * 4)).toFixed(2)} × the float32 bytes of the model`);
}
