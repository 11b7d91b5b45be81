// Streaming DiLoCo against plain DiLoCo on links of a given rate: wall time of a round and final loss,
// by seed, in turns. The model and the steps of a round are such that training and transfers take
// about as long as each other, which is where an overlap pays most: at best it halves the time.
import { fork, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { positiveNumber, wholeNumber } from '../dist/cli/options.js';
import { benchCommand } from './command.mjs';
import { pairedTests } from './evidence/statistics.mjs';

const options = benchCommand(
  'streaming.mjs',
  'Rounds of plain and of streaming DiLoCo with the built-in trainer, each site behind a link of its own.',
  [
    ['', 'time on links of 100 Mbit/s, then the loss of longer runs'],
    ['--rounds 3 --seeds 1 --loss-seeds 0', 'a short look at the time alone'],
    ['--codec lean --mbit 10', 'coded messages on a link that is ten times slower'],
  ],
)
  .option('--mbit <number>', 'rate of each link, in each direction', positiveNumber, 100)
  .option('--sites <count>', 'sites', wholeNumber(1), 2)
  .option('--parts <count>', 'parts of the model', wholeNumber(1), 4)
  .option('--steps <count>', 'steps of a round; by default as many as take a quarter longer than its transfers', wholeNumber(1))
  .option('--overlap <count>', 'steps between sending a part and merging it; by default those of a part', wholeNumber(0))
  .option('--alpha <number>', 'the share of own values in a merge; 0 as in the algorithm streamingDiLoCo', Number, 0)
  .option('--rounds <count>', 'rounds whose time is measured; the first one is left out of the mean', wholeNumber(2), 4)
  .option('--seeds <count>', 'seeds of the time', wholeNumber(0), 3)
  .option('--hidden <count>', 'hidden size of the model whose time is measured', wholeNumber(16), 384)
  .option('--layers <count>', 'its layers', wholeNumber(1), 8)
  .option('--codec <name>', 'coding of messages, for both', String, 'fp32')
  .option('--loss-seeds <count>', 'seeds of the loss, of a small model without a slow link', wholeNumber(0), 5)
  .option('--loss-rounds <count>', 'rounds of the loss', wholeNumber(2), 12)
  .option('--loss-steps <count>', 'steps of a round of the loss', wholeNumber(1), 24)
  .parse()
  .opts();

const root = fileURLToPath(new URL('..', import.meta.url));
const command = join(root, 'bin/fedstream.mjs');
const work = mkdtempSync(join(tmpdir(), 'fedstream-streaming-'));
process.once('exit', () => rmSync(work, { recursive: true, force: true }));
const { parts, alpha } = options;
/** The longest overlap unless one is given: then transfers have all the time that there is. */
const overlapOf = (steps) => options.overlap ?? Math.floor(steps / parts);
const ARMS = {
  plain: () => 'fedAvg',
  streaming: (steps) => ({ type: 'streaming', parts, overlap: overlapOf(steps), alpha }),
};
const OUTER = { type: 'nesterov', momentum: 0.9, rate: 0.7 };

const jobOf = (arm, seed, more) => ({
  workflow: ARMS[arm](more.train.localSteps),
  seed,
  sites: options.sites,
  quantize: options.codec,
  aggregator: OUTER,
  data: { generated: 2000 },
  ...more,
});

/** The job of the time: a large model, and few tokens in a step. */
const timed = (arm, seed, steps) => {
  const { hidden, layers } = options;
  const model = { hiddenSize: hidden, layers, heads: 6, kvHeads: 6, ffnSize: 3 * hidden, vocabularySize: 512 };
  const train = { localSteps: steps, batchSize: 4, maxTokens: 32, warmupSteps: 5, schedule: 'constant', learningRate: 5e-4 };
  return jobOf(arm, seed, { rounds: options.rounds, model, train, validationSamples: 8 });
};
/** The job of the loss: a small model that is trained for longer. */
const learnt = (arm, seed) => {
  const model = { hiddenSize: 96, layers: 4, heads: 4, kvHeads: 2, ffnSize: 256, vocabularySize: 512 };
  const train = { localSteps: options.lossSteps, batchSize: 16, maxTokens: 48 };
  return jobOf(arm, seed, { rounds: options.lossRounds, model, train, validationSamples: 300 });
};

const steps = options.steps ?? (options.seeds > 0 ? calibrated() : options.lossSteps);
const times = [];
for (let seed = 1; seed <= options.seeds; seed++)
  for (const arm of Object.keys(ARMS)) times.push({ arm, seed, ...(await overLinks(`time-${arm}-${seed}`, timed(arm, seed, steps))) });
const losses = [];
for (let seed = 1; seed <= options.lossSeeds; seed++)
  for (const arm of Object.keys(ARMS)) losses.push({ arm, seed, ...simulated(`loss-${arm}-${seed}`, learnt(arm, seed)) });
report();

/** Steps of a round that take a quarter longer than its transfers, by two rounds without a link. */
function calibrated() {
  const FEW = 4;
  const MANY = 20;
  // The difference of two rounds is that of their steps alone.
  const [few, many] = [FEW, MANY].map((count) => {
    const name = `calibration-${count}`;
    writeFileSync(join(work, `${name}.json`), JSON.stringify({ ...timed('plain', 1, count), rounds: 1 }));
    must(['simulate', '--job', `${name}.json`, '--name', name]);
    return eventsOf(name);
  });
  const secondsOf = (events) => events.find(({ type }) => type === 'round-finished').seconds;
  const stepSeconds = Math.max(0.001, (secondsOf(many) - secondsOf(few)) / (MANY - FEW));
  const bytes = many.findLast(({ type, direction }) => type === 'transfer' && direction === 'up').bytes;
  const transferSeconds = (2 * 8 * bytes) / (options.mbit * 1e6);
  const count = parts * Math.max(1, Math.round((1.25 * transferSeconds) / stepSeconds / parts));
  const each = `a step takes ${stepSeconds.toFixed(2)} s, a model of ${(bytes / 1e6).toFixed(1)} MB there and back ${transferSeconds.toFixed(1)} s`;
  console.log(`${each}: ${count} steps a round`);
  return count;
}

/** The same federation as `simulate` starts, but each site behind a link. */
async function overLinks(name, job) {
  const file = join(work, `${name}.json`);
  writeFileSync(file, JSON.stringify(job));
  // Shares the data out, and makes the model; nothing of its one step is used.
  const shares = { ...job, rounds: 1, workflow: 'fedAvg', train: { ...job.train, localSteps: 1 } };
  writeFileSync(join(work, `${name}-data.json`), JSON.stringify(shares));
  must(['simulate', '--job', `${name}-data.json`, '--name', `${name}-data`]);
  const server = start(['server', '--job', `${name}.json`, '--listen', 'tcp://127.0.0.1:0', '--name', name]);
  const port = await listening(name, server);
  const links = [];
  const sites = [];
  for (let number = 1; number <= options.sites; number++) {
    const link = fork(join(root, 'bench/streaming/link.mjs'), [String(port), String(options.mbit)]);
    links.push(link);
    const near = await new Promise((resolve) => link.once('message', resolve));
    const site = `site-${number}`;
    const own = join(work, `${name}-${site}`);
    mkdirSync(own);
    const token = join('runs', name, 'tokens', `${site}.token`);
    const data = join('runs', `${name}-data`, 'data', `${site}.jsonl`);
    const where = ['--connect', `tcp://127.0.0.1:${near}`, '--site', site, '--token-file', token];
    sites.push(start(['client', ...where, '--data', data, '--work', own, '--threads', '1']));
  }
  const codes = await Promise.all([server, ...sites].map(({ ended }) => ended));
  for (const link of links) link.kill();
  if (codes.some(({ code }) => code !== 0)) throw new Error(`${name} failed: ${codes.map(({ stderr }) => stderr).join('\n')}`);
  const row = figures(name);
  console.log(JSON.stringify({ name, ...row, load: Math.round(loadavg()[0]) }));
  return row;
}

function simulated(name, job) {
  writeFileSync(join(work, `${name}.json`), JSON.stringify(job));
  must(['simulate', '--job', `${name}.json`, '--name', name]);
  const row = figures(name);
  console.log(JSON.stringify({ name, loss: row.loss }));
  return row;
}

/** Seconds of a round after the first one, the bytes of one, and the last loss, from the run's own events. */
function figures(name) {
  const events = readFileSync(join(work, 'runs', name, 'events.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map(JSON.parse);
  const rounds = events.filter(({ type }) => type === 'round-finished').slice(1);
  const seconds = rounds.reduce((sum, round) => sum + round.seconds, 0) / rounds.length;
  const { bytesDown, bytesUp } = rounds.at(-1);
  return { seconds, bytesDown, bytesUp, loss: events.filter(({ type }) => type === 'evaluation').at(-1).loss };
}

function eventsOf(name) {
  const lines = readFileSync(join(work, 'runs', name, 'events.jsonl'), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => JSON.parse(line));
}

function report() {
  const mean = (arm) => {
    const own = times.filter((row) => row.arm === arm);
    return own.reduce((sum, { seconds }) => sum + seconds, 0) / own.length;
  };
  if (times.length > 0) {
    const [plain, streaming] = [mean('plain'), mean('streaming')];
    const ratio = (streaming / plain).toFixed(2);
    console.log(
      `a round on ${options.mbit} Mbit/s: plain ${plain.toFixed(1)} s, streaming in ${parts} parts ${streaming.toFixed(1)} s, ${ratio} x`,
    );
  }
  const rows = losses.length > 0 ? losses : times;
  const of = (arm) => new Map(rows.filter((row) => row.arm === arm).map(({ seed, loss }) => [seed, Math.log(loss)]));
  const [plain, streaming] = [of('plain'), of('streaming')];
  const { mean: difference, interval } = pairedTests([...plain].map(([seed, value]) => streaming.get(seed) - value));
  const percent = (value) => `${(100 * Math.expm1(value)).toFixed(2)} %`;
  const within = interval ? `, 95 % interval ${interval.map(percent).join(' to ')}` : '';
  console.log(`final loss of streaming against plain over ${plain.size} seeds: ${percent(difference)}${within}`);
}

function must(args) {
  const { status, stderr } = spawnSync(process.execPath, [command, ...args], { cwd: work, encoding: 'utf8' });
  if (status !== 0) throw new Error(`fedstream ${args[0]}: ${stderr}`);
}

function start(args) {
  const child = spawn(process.execPath, [command, ...args], { cwd: work, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  process.once('exit', () => child.kill());
  return { child, ended: new Promise((resolve) => child.once('close', (code) => resolve({ code, stderr }))) };
}

async function listening(name, { child }) {
  for (;;) {
    const log = read(join(work, 'runs', name, 'logs/server.log'));
    const port = /tcp:\/\/127\.0\.0\.1:(\d+)/.exec(log)?.[1];
    if (port !== undefined) return port;
    if (child.exitCode !== null) throw new Error(`the server of ${name} has ended`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
