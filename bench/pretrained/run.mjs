// Runs an arm of bench/pretrained.mjs with `fedstream simulate`, and reads its run folder.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FedStreamError } from '../../dist/core/errors.js';
import { jobOf, programArguments, SIZES } from './arms.mjs';
import { pythonEnvironment, runPython } from './model.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Evaluates a model's folder: {losses by kind, device, versions}. */
export function evaluate(folder, { python, cache, size, data, model }) {
  const files = Object.entries(data.heldOut).map(([kind, file]) => `${kind}=${file}`);
  const { maxTokens } = SIZES[size];
  // An adapter is evaluated on its base.
  const base = existsSync(join(folder, 'adapter_config.json')) ? [`base=${model}`] : [];
  return JSON.parse(runPython(python, [here('evaluate.py'), folder, String(maxTokens), ...base, ...files], cache));
}

/**
 * Runs an arm and returns its row. The losses of a round are those of the model that the sites
 * received for it; the last losses are those of the run's `model/`.
 */
export async function runArm(run, setting) {
  const { cache, size, dtype, data, initial } = setting;
  const work = join(cache, 'run');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const startedMs = performance.now();
  await simulate(run, setting, work);
  const seconds = (performance.now() - startedMs) / 1000;
  const summary = JSON.parse(readFileSync(join(work, 'runs/arm/summary.json'), 'utf8'));
  const { losses, device, versions } = evaluate(join(work, 'runs/arm/model'), setting);
  rmSync(work, { recursive: true, force: true });
  const received = summary.rounds.map(({ sites }) => byKind(sites, ({ metrics }) => metrics.heldOut));
  return {
    ...run,
    size,
    dtype,
    data: data.kinds,
    initial: initial.losses,
    received,
    trainLoss: summary.rounds.map(({ sites }) => byKind(sites, ({ trainLoss }) => trainLoss)),
    final: losses,
    bytes: bytesOf(summary),
    parameters: summary.parameters,
    seconds,
    device,
    versions: { ...versions, node: process.versions.node, fedstream: JSON.parse(readFileSync(here('../../package.json'), 'utf8')).version },
  };
}

/** The mean over the sites of each kind; a site's name begins with its kind. */
function byKind(sites, figure) {
  const kinds = new Map();
  for (const [name, site] of Object.entries(sites)) {
    const kind = name.split('-')[0];
    kinds.set(kind, [...(kinds.get(kind) ?? []), figure(site)]);
  }
  return Object.fromEntries([...kinds].map(([kind, values]) => [kind, values.reduce((sum, value) => sum + value, 0) / values.length]));
}

function bytesOf({ bytes, rounds }) {
  const sum = (some, field) => some.flatMap(({ sites }) => Object.values(sites)).reduce((total, site) => total + site[field], 0);
  const [first, later] = [rounds.slice(0, 1), rounds.slice(1)];
  return {
    down: bytes.down,
    up: bytes.up,
    ratio: bytes.ratio,
    firstDown: sum(first, 'bytesDown'),
    firstUp: sum(first, 'bytesUp'),
    laterDown: sum(later, 'bytesDown'),
    laterUp: sum(later, 'bytesUp'),
    fp32LaterDown: sum(later, 'fp32BytesDown'),
    fp32LaterUp: sum(later, 'fp32BytesUp'),
  };
}

async function simulate(run, { python, cache, size, model, data, folder }, work) {
  const files = { job: join(work, 'job.json'), sites: join(work, 'site.json') };
  const sites = Object.keys(data.files).length;
  const threads = String(Math.max(1, Math.floor(availableParallelism() / sites)));
  const trainer = {
    command: [python, 'sft.py', ...programArguments(run, size, { model, folder })],
    folder: here('.'),
    environment: { ...pythonEnvironment(cache), OMP_NUM_THREADS: threads },
    silenceMs: 1_200_000,
  };
  writeFileSync(files.job, JSON.stringify(jobOf(run, size, { model, files: data.files })));
  writeFileSync(files.sites, JSON.stringify({ trainers: { sft: trainer } }));
  const args = ['simulate', '--job', files.job, '--site-config', files.sites, '--out', join(work, 'runs'), '--name', 'arm'];
  const child = spawn(process.execPath, [here('../../bin/fedstream.mjs'), ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let told = '';
  child.stderr.on('data', (text) => {
    told = (told + text).slice(-20_000);
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code === 130) throw new FedStreamError('aborted', 'what is finished is kept: go on with --resume');
  if (code !== 0) {
    const line = told.split('\n').findLast((one) => one.startsWith('fedstream: ')) ?? told.trim().split('\n').at(-1);
    throw new FedStreamError(
      'internal',
      `${run.arm} seed ${run.seed} failed: ${line.replace('fedstream: ', '')}; its run is kept in ${join(work, 'runs/arm')}`,
    );
  }
}
