// Measures federated rounds without training: the sites' trainer returns the model that it got.
// Codings take turns in one run. Writes JSON lines.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { positiveNumber, wholeNumber } from '../dist/cli/options.js';
import { nodeFolder } from '../dist/node/storage/node-folder.js';
import { memoryStateDict } from '../dist/tensor/memory-state-dict.js';
import { writeSafetensors } from '../dist/tensor/safetensors.js';
import { benchCommand, listOf } from './command.mjs';

const options = benchCommand(
  'round.mjs',
  'One federated round without training: a server and sites whose trainer gives back what it got. Needs .venv (node scripts/python-env.mjs).',
  [
    ['', '512 MiB, three sites: fp32 and the default'],
    ['--mb 128 --codecs fp32,u4,lean,nf4 --noise 1e-4', 'a smaller model, whose updates are no zeros'],
  ],
)
  .option('--mb <number>', 'size of the float32 model, MiB', positiveNumber, 512)
  .option('--sites <count>', 'sites', wholeNumber(1), 3)
  .option('--rounds <count>', 'rounds: the first begins with the model as it is, the others with an update of it', wholeNumber(1), 2)
  .option('--repeats <count>', 'how often each is run', wholeNumber(1), 1)
  .option('--noise <number>', 'what the trainer adds: this times a normal number; by default nothing', positiveNumber)
  .option('--codecs <names>', 'as --codec of the command takes them, in turn', listOf(String), ['fp32', 'u4'])
  .parse()
  .opts();

const root = fileURLToPath(new URL('..', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'fedstream-round-'));
process.once('exit', () => rmSync(work, { recursive: true, force: true }));

await makeModel(join(work, 'model'), options.mb);
const trainer = { command: [join(root, '.venv/bin/python'), join(root, 'bench/round/echo.py'), String(options.noise ?? 0)] };
writeFileSync(join(work, 'site.json'), JSON.stringify({ trainers: { echo: trainer } }));
const job = {
  rounds: options.rounds,
  sites: options.sites,
  trainer: { name: 'echo' },
  data: { generated: 100 },
  model: { path: join(work, 'model') },
};
writeFileSync(join(work, 'job.json'), JSON.stringify(job));
for (let repeat = 1; repeat <= options.repeats; repeat++) for (const codec of options.codecs) run(codec, repeat);

/** Makes a model of seeded normal weights, in matrices of 32 MiB. */
async function makeModel(path, megabytes) {
  mkdirSync(path);
  const tensors = [];
  for (let left = megabytes * 2 ** 18, index = 0; left > 0; index++) {
    const elements = Math.min(left, 2 ** 23);
    const data = new Float32Array(elements);
    for (let i = 0, state = index + 1; i < elements; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      data[i] = (state / 2 ** 31) * 0.04;
    }
    tensors.push({ name: `layers.${index}.weight`, dtype: 'F32', shape: [Math.ceil(elements / 1024), 1024], data });
    left -= elements;
  }
  await writeSafetensors(nodeFolder(path), 'model.safetensors', memoryStateDict(tensors));
  writeFileSync(join(path, 'config.json'), '{}');
}

function run(codec, repeat) {
  const name = `${codec.replace(':', '-')}-${repeat}`;
  const command = [
    join(root, 'bin/fedstream.mjs'),
    'simulate',
    '--job',
    'job.json',
    '--site-config',
    'site.json',
    '--codec',
    codec,
    '--name',
    name,
  ];
  const load = loadavg()[0];
  const done = spawnSync(process.execPath, command, { cwd: work, encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${codec}: ${done.stderr}`);
  const folder = join(work, 'runs', name);
  const summary = JSON.parse(readFileSync(join(folder, 'summary.json'), 'utf8'));
  rmSync(folder, { recursive: true });
  const { rounds, bytes, wallSeconds, peakRssBytes } = summary;
  console.log(
    JSON.stringify({
      codec,
      mb: options.mb,
      sites: options.sites,
      noise: options.noise ?? 0,
      roundSeconds: rounds.flatMap(({ seconds }) => (seconds === null ? [] : [Number(seconds.toFixed(2))])),
      totalSeconds: Number(wallSeconds.toFixed(2)),
      bytesOfFp32: Number(bytes.ratio.toFixed(4)),
      serverMiB: Math.round(peakRssBytes.server / 2 ** 20),
      siteMiB: Math.round(peakRssBytes['site-1'] / 2 ** 20),
      load: Number(load.toFixed(1)),
    }),
  );
}
