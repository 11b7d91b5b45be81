// Measures how fast a server makes the next model of its sites' results, and in how much memory, for
// any aggregator, workflow or algorithm, beside `mean`. Writes JSON lines.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { repeatedModel } from '../dist/cli/bench/normal-model.js';
import { positiveNumber, wholeNumber } from '../dist/cli/options.js';
import { encodeModel } from '../dist/codec/quantize.js';
import { encodingByPolicy } from '../dist/filter/policy.js';
import { nodeCodecs } from '../dist/node/codec/codecs.js';
import { nodeFolder } from '../dist/node/storage/node-folder.js';
import { writeSafetensors } from '../dist/tensor/safetensors.js';
import { writeSpool } from '../dist/transfer/spool.js';
import { benchManifest } from './aggregate/manifest.mjs';
import { benchCommand, listOf, oneOf } from './command.mjs';

const options = benchCommand(
  'aggregate.mjs',
  "The server's part of a round: it reads the results of all sites from the disk and makes the next model there.",
  [
    ['', '256 MiB, eight sites, updates in u4: the optimizers'],
    ['--mb 2048 --names adam --repeats 1', 'a model of 2 GiB'],
    ['--results fp32 --names nesterov,scaffold', 'whole weights; a workflow is named like an aggregator'],
    [`--names '{"type":"adam","beta1":0}'`, 'with options, as a job writes them; commas inside are kept'],
  ],
)
  .option('--mb <number>', 'size of the float32 model, MiB', positiveNumber, 256)
  .option('--sites <count>', 'sites', wholeNumber(1), 8)
  .option('--names <names>', 'aggregators, workflows or algorithms, each in turn with mean', namesOf, ['nesterov', 'adam'])
  .option('--results <kind>', 'u4: coded updates; fp32: whole weights', listOf(oneOf(['u4', 'fp32'])), ['u4'])
  .option('--repeats <count>', 'how often each is run', wholeNumber(1), 3)
  .option('--rounds <count>', 'rounds in a process, of which the first, without any state, is not counted', wholeNumber(2), 2)
  .option('--lora <rank>', 'a model of LoRA factors of this rank instead of layers', wholeNumber(1))
  .option('--no-sync', 'leave files in the cache of the system, where a server waits until they are on the disk')
  .option('--dir <folder>', 'a folder on the disk to be used', tmpdir())
  .parse()
  .opts();

const side = fileURLToPath(new URL('aggregate/side.mjs', import.meta.url));
const work = mkdtempSync(join(options.dir, 'fedstream-aggregate-'));
process.once('exit', () => rmSync(work, { recursive: true, force: true }));

const manifest = benchManifest(options);
const disk = nodeFolder(work);
const sites = Array.from({ length: options.sites }, (_, i) => `site-${String(i + 1).padStart(3, '0')}`);
await writeSafetensors(disk, 'model.safetensors', repeatedModel(manifest, 0), { durable: false });
for (const results of options.results) {
  for (const [i, site] of sites.entries()) {
    const raw = repeatedModel(manifest, i + 1);
    const coded = results === 'fp32' ? raw : encodeModel(raw, encodingByPolicy(results, nodeCodecs()), nodeCodecs());
    await writeSpool(coded, nodeCodecs(), disk, `${results}-${site}`, { durable: false });
  }
  for (const name of options.names) compare(name, results);
  for (const site of sites) rmSync(join(work, `${results}-${site}`), { force: true });
}

/** Runs one and `mean` in turns, each in a process of its own, and prints both and the ratio. */
function compare(name, results) {
  const found = { mean: [], [name]: [] };
  for (let repeat = 0; repeat < options.repeats; repeat++)
    for (const one of Object.keys(found)) {
      const measured = run(one, results);
      found[one].push(measured);
      print({ name: one, results, ...measured });
    }
  if (name === 'mean') return;
  const best = (one) => Math.max(...found[one].map(({ gbps }) => gbps));
  const leastCpu = (one) => Math.min(...found[one].flatMap(({ cpuSeconds }) => cpuSeconds));
  const ratio = (a, b) => Number((a / b).toFixed(2));
  const bestMoved = (one) => Math.max(...found[one].map(({ movedGbps }) => movedGbps));
  print({
    name,
    results,
    ofMean: ratio(best(name), best('mean')),
    ofMeanByCpu: ratio(leastCpu('mean'), leastCpu(name)),
    // An optimizer reads and writes its moments as well; these are the bytes of files in a second.
    ofMeanByBytes: ratio(bestMoved(name), bestMoved('mean')),
  });
}

function run(name, results) {
  const folder = join(work, 'run');
  mkdirSync(folder);
  const load = loadavg()[0];
  const { rounds, sync } = options;
  const settings = { work, folder, name, results, sites, rounds, sync };
  const { status, stdout, stderr } = spawnSync(process.execPath, [side, JSON.stringify(settings)], { encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  if (status !== 0) throw new Error(`${name} failed (${status}): ${stderr}`);
  const { seconds, cpuSeconds, movedBytes, peakRssBytes } = JSON.parse(stdout);
  const modelBytes = options.mb * 2 ** 20;
  const gbps = Number(((options.sites * modelBytes) / Math.min(...seconds) / 1e9).toFixed(2));
  return {
    mb: options.mb,
    sites: options.sites,
    seconds,
    cpuSeconds,
    gbps,
    movedMb: Math.round(movedBytes.at(-1) / 1e6),
    movedGbps: Number((Math.max(...movedBytes.map((bytes, i) => bytes / seconds[i])) / 1e9).toFixed(2)),
    peakMb: Math.round(peakRssBytes / 1e6),
    load: Number(load.toFixed(2)),
  };
}

/** Names with commas between them, or one choice in JSON. */
function namesOf(value) {
  return value.startsWith('{') ? [value] : value.split(',');
}

function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
