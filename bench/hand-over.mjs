// Hands a state dict to a Python program and takes it back: times to and from the wire, and the
// program's memory. Needs .venv (node scripts/python-env.mjs). The baseline of the same run is a
// copy of the file.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { positiveNumber } from '../dist/cli/options.js';
import { nodeCodecs } from '../dist/node/codec/codecs.js';
import { nodeFolder } from '../dist/node/storage/node-folder.js';
import { startTrainerProcess } from '../dist/node/trainer/trainer-process.js';
import { memoryStateDict } from '../dist/tensor/memory-state-dict.js';
import { openSafetensors, writeSafetensors } from '../dist/tensor/safetensors.js';
import { processTrainer } from '../dist/trainer/bridge/process-trainer.js';
import { prepareModel } from '../dist/transfer/send.js';
import { benchCommand } from './command.mjs';

const { mb: megabytes } = benchCommand(
  'hand-over.mjs',
  "Hands a state dict to a Python program and takes it back: times to and from the wire, and the program's memory. Needs .venv (node scripts/python-env.mjs).",
)
  .option('--mb <number>', 'size of the state dict, MB', positiveNumber, 500)
  .parse()
  .opts();
const ROUNDS = 4;
const TENSOR_BYTES = 20e6;
const root = fileURLToPath(new URL('..', import.meta.url));
const base = mkdtempSync(join(tmpdir(), 'fedstream-bench-'));
const exchange = join(base, 'bridge');
mkdirSync(exchange);
const marks = [];
const note = (_, line) => {
  if (line.startsWith('bench ')) marks.push(JSON.parse(line.slice('bench '.length)));
};
const log = { debug: note, info: note, warn: note, error: note };
const command = [join(root, '.venv/bin/python'), join(root, 'bench/hand-over/program.py')];
const trainer = processTrainer({
  label: 'the program',
  site: 'bench',
  job: { seed: 1, rounds: ROUNDS, train: {} },
  folder: base,
  silenceMs: 120_000,
  stopMs: 10_000,
  log,
  exchange: nodeFolder(exchange),
  pathOf: (name) => join(exchange, name),
  start: () => startTrainerProcess({ command, folder: base, environment: {}, log }),
});

try {
  const values = Float32Array.from({ length: TENSOR_BYTES / 4 }, (_, i) => Math.sin(i));
  const count = Math.round((megabytes * 1e6) / TENSOR_BYTES);
  const tensors = Array.from({ length: count }, (_, i) => ({
    name: `layer.${i}`,
    dtype: 'F32',
    shape: [values.length],
    data: values.slice(),
  }));
  await writeSafetensors(nodeFolder(base), 'model', memoryStateDict(tensors), { durable: false });
  tensors.length = 0;
  const startedMs = Date.now();
  copyFileSync(join(base, 'model'), join(base, 'copy'));
  console.log(`copy of the file      ${seconds(Date.now() - startedMs)}`);
  const model = await openSafetensors(nodeFolder(base), 'model');
  for (let round = 1; round <= ROUNDS; round++) await handOver(round, model);
  await model.close();
} finally {
  await trainer.close();
  rmSync(base, { recursive: true });
}

async function handOver(round, model) {
  marks.length = 0;
  const receivedMs = Date.now();
  const result = await trainer.train({ round, rounds: ROUNDS, signal: new AbortController().signal, onStep: () => {} }, model);
  const prepared = await prepareModel(result.model, nodeCodecs(), 'file', nodeFolder(base), 'spool');
  for await (const _ of prepared.source.read(0)) break;
  const firstByteMs = Date.now();
  await prepared.release();
  await result.model.close();
  await new Promise((resolve) => setTimeout(resolve, 200));
  const mark = (what) => marks.find((found) => found.what === what);
  // The first round is left out: it includes the program's start and the making of its own copy.
  if (round === 1) return;
  const extra = Math.max(mark('received').RssAnon, mark('sending').RssAnon, mark('sent').RssAnon) - mark('before').RssAnon;
  console.log(
    `round ${round}: last byte to receive() ${seconds(mark('received').at * 1000 - receivedMs)}, send() to first byte ${seconds(firstByteMs - mark('sending').at * 1000)}, ` +
      `memory of its own beyond its copy ${((extra / (megabytes * 1e6)) * 100).toFixed(1)} %, and its own copy ${(mark('before').RssAnon / 1e6).toFixed(0)} MB with torch`,
  );
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(2)} s`;
}
