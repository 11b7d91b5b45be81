// The axes of the cost curves: each point is measured by a benchmark of the product or of this tree.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modelBytes, modelShape } from '../../dist/cli/bench/model-shape.js';
import { command } from '../peers/command.mjs';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const PROGRAM = at('../../bin/fedstream.mjs');
const SHAPE = 'llama-3.2-1b';
const MIB = 2 ** 20;
/** Sites of a reduce whose threads are counted. */
const THREAD_SITES = 8;
const ROUNDS = 2;

/**
 * What is measured, by name: its unit, the curves of the axis, and `measure(x, context)`, which
 * resolves with `{curve: {seconds, mib}}`.
 */
export const AXES = {
  size: { unit: 'GB', curves: ['file, fp32', 'file, u4', 'container, u4'], measure: bySize },
  sites: { unit: 'sites', curves: ["the server's mean, u4", 'a round by default'], measure: bySites },
  tensors: { unit: 'tensors', curves: ['a round by default, small tensors'], measure: byTensors },
  threads: { unit: 'threads', curves: ["the server's mean, u4"], measure: byThreads },
};

/** The sum of both sides' peak memory, and the seconds, of a model of so many GB (10^9 bytes). */
async function bySize(gigabytes, { dir }) {
  const scale = (gigabytes * 1e9) / modelBytes(modelShape(SHAPE));
  const found = {};
  for (const curve of AXES.size.curves) {
    const [mode, codec] = curve.split(', ');
    const { seconds, sender, receiver } = await bench(['transfer', '--scale', scale, '--mode', mode, '--codec', codec, '--dir', dir]);
    found[curve] = { seconds, mib: (sender.peakRssBytes + receiver.peakRssBytes) / MIB };
  }
  return found;
}

/** The server alone, and a whole round with a process a site, in which the sites change every value. */
async function bySites(sites, { dir, modelScale }) {
  const [mean, round] = AXES.sites.curves;
  return { [mean]: await reduced(sites, modelScale, dir), [round]: await simulated(sites, modelScale, dir) };
}

async function byThreads(threads, { dir, modelScale }) {
  return { [AXES.threads.curves[0]]: await reduced(THREAD_SITES, modelScale, dir, ['--threads', threads]) };
}

/** Server and two sites in one process, whose memory is that of all three. */
async function byTensors(tensors, { dir }) {
  const words = ['--tensors', tensors, '--only', 'rounds', '--modes', 'file', '--codecs', 'u4', '--rounds', ROUNDS];
  const env = { ...process.env, TMPDIR: dir };
  const { stdout, processes } = await command([process.execPath, at('../tensors.mjs'), ...words.map(String)], { env, watched: true });
  const mib = Math.max(...processes.map(({ peakMiB }) => peakMiB));
  return { [AXES.tensors.curves[0]]: { seconds: JSON.parse(stdout).seconds, mib } };
}

async function reduced(clients, scale, dir, more = []) {
  const { seconds, peakRssBytes } = await bench(['reduce', '--clients', clients, '--codec', 'u4', '--scale', scale, '--dir', dir, ...more]);
  return { seconds, mib: peakRssBytes / MIB };
}

async function simulated(sites, scale, dir) {
  const work = mkdtempSync(join(dir, 'fedstream-curves-'));
  try {
    const model = join(work, 'model');
    mkdirSync(model);
    await command([process.execPath, PROGRAM, 'bench', 'make-model', SHAPE, model, '--scale', String(scale)]);
    writeFileSync(join(model, 'config.json'), '{}');
    const job = { rounds: ROUNDS, sites, trainer: { name: 'grow' }, model: { path: model }, data: { generated: 1_000 } };
    writeFileSync(join(work, 'job.json'), JSON.stringify(job));
    const files = ['--job', join(work, 'job.json'), '--kit', at('../check/trainer.mjs'), '--out', join(work, 'runs'), '--name', 'curve'];
    await command([process.execPath, PROGRAM, 'simulate', ...files]);
    const { rounds, peakRssBytes } = JSON.parse(readFileSync(join(work, 'runs/curve/summary.json'), 'utf8'));
    return { seconds: rounds.at(-1).seconds, mib: peakRssBytes.server / MIB };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function bench(words) {
  const { stdout } = await command([process.execPath, PROGRAM, 'bench', ...words.map(String), '--json'], { limitS: 1800 });
  return JSON.parse(stdout);
}
