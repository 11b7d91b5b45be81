// Measures the cost of many small tensors: commands on a model folder in shards, and rounds in both
// streaming modes, each for several numbers of tensors. Prints seconds, and the ratio of the cost of
// a tensor to that of the smallest model of the run: 1 is a cost that grows in proportion.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeToken, runSite, siteCredentials, tokenVerifier } from '../dist/api/index.js';
import { wholeNumber } from '../dist/cli/options.js';
import { silentLogger } from '../dist/core/log.js';
import { runServer } from '../dist/hub/server.js';
import { builtInKit, parseJob } from '../dist/kit/kit.js';
import { nodeCodecs } from '../dist/node/codec/codecs.js';
import { tcp } from '../dist/node/drivers/index.js';
import { nodeFolder } from '../dist/node/storage/node-folder.js';
import { writeInitialModel } from '../dist/server/global-models.js';
import { memoryStateDict } from '../dist/tensor/memory-state-dict.js';
import { openModel, writeModel } from '../dist/tensor/model-folder.js';
import { withManifest } from '../dist/tensor/state-dict.js';
import { benchCommand, listOf, oneOf } from './command.mjs';

const MODES = ['file', 'container', 'regular'];
const options = benchCommand(
  'tensors.mjs',
  'The cost of many small tensors: quantize, compare and inspect of a folder in shards, and rounds over tcp.',
  [
    ['', '5, 20 and 50 thousand tensors'],
    ['--tensors 1000,8000 --modes container --codecs u4', 'rounds of one kind'],
  ],
)
  .option('--tensors <counts>', 'numbers of tensors, in turn', listOf(wholeNumber(1)), [5_000, 20_000, 50_000])
  .option('--elements <count>', 'elements of a tensor, a multiple of 8', wholeNumber(8), 64)
  .option('--shards <count>', 'shards of the folder', wholeNumber(1), 20)
  .option('--rounds <count>', 'rounds of a run', wholeNumber(1), 2)
  .option('--modes <names>', 'streaming modes of the rounds', listOf(oneOf(MODES)), ['file', 'container'])
  .option('--codecs <names>', "codings of the rounds, as a job's quantize", listOf(String), ['u4', 'fp32', 'nf4-nested'])
  .option('--only <part>', 'commands or rounds', oneOf(['commands', 'rounds']))
  .parse()
  .opts();

const root = fileURLToPath(new URL('..', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'fedstream-tensors-'));
process.once('exit', () => rmSync(work, { recursive: true, force: true }));
const least = new Map();

for (const count of options.tensors) {
  const folder = join(work, `model-${count}`);
  await makeModel(folder, count);
  if (options.only !== 'rounds') {
    const coded = join(work, `nested-${count}.safetensors`);
    row('quantize to nf4-nested', count, command('quantize', folder, coded, '--codec', 'nf4-nested'));
    row('compare', count, command('compare', folder, coded));
    row('inspect', count, command('inspect', folder));
    rmSync(coded);
  }
  if (options.only !== 'commands')
    for (const mode of options.modes)
      for (const codec of options.codecs) row(`round, ${mode}, ${codec}`, count, await round(folder, mode, codec));
  rmSync(folder, { recursive: true });
}

/** Prints seconds, and how many times as much a tensor costs as in the smallest model of the run. */
function row(what, tensors, seconds) {
  const each = seconds / tensors;
  const first = least.get(what) ?? each;
  least.set(what, first);
  console.log(JSON.stringify({ what, tensors, seconds: Number(seconds.toFixed(2)), ofSmallest: Number((each / first).toFixed(2)) }));
}

async function makeModel(path, count) {
  mkdirSync(path);
  const { elements, shards } = options;
  const values = Float32Array.from({ length: elements * count }, (_, i) => Math.sin(i * 12.9898) * 0.04);
  const tensors = Array.from({ length: count }, (_, i) => ({
    name: `model.layers.${Math.floor(i / 384)}.mlp.experts.${i % 384}.weight`,
    dtype: 'F32',
    shape: [8, elements / 8],
    data: values.subarray(i * elements, (i + 1) * elements),
  }));
  await writeModel(nodeFolder(path), memoryStateDict(tensors), Math.ceil((4 * elements * count) / shards), { durable: false });
}

function command(...words) {
  const startedMs = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'bin/fedstream.mjs'), ...words, '--json'], { maxBuffer: 2 ** 30 });
  if (status !== 0) throw new Error(`fedstream ${words.join(' ')} ended with ${status}: ${stderr}`);
  return (performance.now() - startedMs) / 1000;
}

/** The seconds of one round, with two sites that give back what they got, over tcp, in this process. */
async function round(folder, streaming, quantize) {
  const run = mkdtempSync(join(work, 'run-'));
  const codecs = nodeCodecs();
  const sites = ['a', 'b'];
  const model = await openModel(nodeFolder(folder));
  // Tensors are small here, and are to be coded all the same.
  const coding = quantize === 'fp32' ? quantize : { default: quantize, minElements: 0 };
  const job = parseJob(
    { rounds: options.rounds, sites, streaming, quantize: coding, trainer: { name: 'echo' }, model: { path: folder } },
    'the job',
    builtInKit,
  );
  const home = nodeFolder(join(run, 'server'));
  await writeInitialModel(home, model, codecs);
  await model.close();
  const driver = tcp();
  const stop = new AbortController();
  const common = { codecs, driver, log: silentLogger, signal: stop.signal };
  const memory = () => ({ rssBytes: 0, peakRssBytes: 0 });
  const running = [];
  const tokens = Object.fromEntries(sites.map((site) => [site, makeToken(site)]));
  const known = await Promise.all(sites.map(async (site) => [site, await tokenVerifier(tokens[site])]));
  const onListening = (url) => {
    for (const site of sites)
      running.push(
        runSite({
          ...common,
          url,
          site,
          credentials: siteCredentials(tokens[site]),
          folder: nodeFolder(join(run, site)),
          memory,
          makeTrainer: async () => echo(),
        }),
      );
  };
  const rounds = [];
  const emit = (event) => {
    if (event.type === 'round-finished') rounds.push(event.seconds);
  };
  await runServer({
    ...common,
    job,
    run: home,
    files: {},
    admission: { tokens: Object.fromEntries(known) },
    emit,
    listeners: [{ driver, url: 'tcp://127.0.0.1:0' }],
    onListening,
  });
  await Promise.allSettled(running);
  rmSync(run, { recursive: true });
  return rounds.reduce((sum, seconds) => sum + seconds, 0) / rounds.length;
}

function echo() {
  return {
    train: async (_task, model) => ({ model: withManifest(model, model.manifest), samples: 1, steps: 1, trainLoss: 1 }),
    evaluate: async () => undefined,
    close: async () => {},
  };
}
