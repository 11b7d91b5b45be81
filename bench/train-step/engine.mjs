// A process with the built-in trainer's engine: does a step or an evaluation for each line that it
// gets, and answers with seconds, processor seconds and its peak memory.
import { createInterface } from 'node:readline';
import { batchOf, LEARNING_RATE, MODELS, OPTIMIZER } from './models.mjs';

const { tree, model, batch, sequence, threads } = JSON.parse(process.argv[2]);
const { startLlamaEngine } = await import(`${tree}/dist/node/trainer/llama-host.js`);
const { config } = MODELS[model];
const engine = await startLlamaEngine({
  config,
  size: { maxBatch: batch, maxSequence: sequence, threads, microBatches: 1 },
  optimizer: OPTIMIZER,
});
engine.initialize(1);
const micro = batchOf(config, batch, sequence);
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
say({ engineMb: engine.memoryBytes / 1e6 });

for await (const line of createInterface({ input: process.stdin })) {
  const before = process.cpuUsage();
  const startedMs = performance.now();
  const { loss = 0 } = line === 'train' ? await engine.trainStep([micro], LEARNING_RATE) : await engine.evaluate(micro);
  const seconds = (performance.now() - startedMs) / 1e3;
  const { user, system } = process.cpuUsage(before);
  say({ seconds, cpuSeconds: (user + system) / 1e6, peakMb: process.resourceUsage().maxRSS / 1e3, loss });
}
await engine.close();
