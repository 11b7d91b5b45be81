// One model from one process to another in each streaming mode: NVFlare's retrievers, `fedstream
// bench transfer`, and `cp` of the file.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { command } from './command.mjs';
import { programOf } from './environments.mjs';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const PROGRAM = at('../../bin/fedstream.mjs');
const SHAPE = 'llama-3.2-1b';
const MODES = ['regular', 'container', 'file'];

/** The turns of one repeat, each `{name, run}`; `run` resolves with rows. */
export function transferTurns({ scale, work }) {
  const theirs = [...MODES.map((mode) => [mode, 'whole']), ['file', 'lean']];
  const ours = MODES.flatMap((mode) => ['fp32', 'nf4'].map((codec) => [mode, codec]));
  // Turns about, mode by mode, so that a slow minute of the machine hits both sides.
  return MODES.flatMap((mode) => [
    ...ours.filter(([one]) => one === mode).map(([, codec]) => turn(`FedStream, ${mode}, ${codec}`, () => moved(mode, codec, scale, work))),
    ...theirs.filter(([one]) => one === mode).map(([, form]) => turn(`NVFlare, ${mode}, ${form}`, () => taken(mode, form, scale, work))),
  ]);
}

const turn = (name, run) => ({ name, run });

async function moved(mode, codec, scale, work) {
  const words = [
    'bench',
    'transfer',
    '--model',
    SHAPE,
    '--scale',
    String(scale),
    '--mode',
    mode,
    '--codec',
    codec,
    '--dir',
    work,
    '--json',
  ];
  const { stdout } = await command([process.execPath, PROGRAM, ...words]);
  const { modelBytes, seconds, cpSeconds, digestOk, sender, receiver } = JSON.parse(stdout);
  if (!digestOk) throw new Error(`the model arrived with another digest: ${stdout}`);
  const mib = Math.round(modelBytes / 2 ** 20);
  const memory = { senderMiB: inMiB(sender.peakRssBytes), receiverMiB: inMiB(receiver.peakRssBytes) };
  const rows = [{ peer: 'FedStream', mode, form: codec, mib, seconds: rounded(seconds), ...memory }];
  // A copy is the baseline of what ends in a file.
  if (mode === 'file') rows.push({ peer: 'cp', mode, form: 'fp32', mib, seconds: rounded(cpSeconds) });
  return rows;
}

async function taken(mode, form, scale, work) {
  const model = await npzOf(scale, work);
  const folder = mkdtempSync(join(work, 'nvflare-'));
  const marks = join(folder, 'marks');
  const words = [at('nvflare/stream_job.py'), mode, model, folder, ...(form === 'lean' ? ['lean'] : [])];
  try {
    await command(['sync']);
    await command([programOf('nvflare', 'python'), ...words], { cwd: folder, env: { ...process.env, PEERS_MARKS: marks } });
    const lines = readFileSync(marks, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const of = (what) => lines.find((line) => line.what === what) ?? fail(`NVFlare's transfer says nothing of "${what}"`);
    const { bytes, code, at: end, peakMiB } = of('received');
    if (code !== 'OK') fail(`NVFlare's transfer ended with ${code}`);
    // A regular task carries the model itself; the others begin once the site asks for it.
    const seconds = end - of(mode === 'regular' ? 'asked' : 'began').at;
    return [
      {
        peer: 'NVFlare',
        mode,
        form,
        mib: Math.round(bytes / 2 ** 20),
        seconds: rounded(seconds),
        senderMiB: of('sent').peakMiB,
        receiverMiB: peakMiB,
      },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The model's file for NVFlare, made once a run. */
async function npzOf(scale, work) {
  const folder = join(work, 'npz');
  const path = join(folder, 'model.npz');
  if (existsSync(path)) return path;
  mkdirSync(folder);
  const model = join(work, 'npz-model');
  await command([process.execPath, PROGRAM, 'bench', 'make-model', SHAPE, model, '--scale', String(scale)]);
  await command([programOf('nvflare', 'python'), at('nvflare/to_npz.py'), model, path]);
  rmSync(model, { recursive: true });
  return path;
}

const inMiB = (bytes) => Math.round(bytes / 2 ** 20);
const rounded = (seconds) => Number(seconds.toFixed(2));
function fail(message) {
  throw new Error(message);
}
