// The cases of `bench check`: transfers in each mode and rounds, run as the processes that a person
// starts, each of which counts what it does.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const PROGRAM = at('../../bin/fedstream.mjs');
/** A part of Llama-3.2-1B: 147 tensors, 34 MB, so that what is done once a model is not lost among what is done once a process. */
export const SCALE = '0.006';
export const SHAPE = 'llama-3.2-1b';

const transfer = (mode, codec) => ({
  name: `transfer, ${mode}, ${codec}`,
  roles: ['sender', 'receiver'],
  command: (work) => ['bench', 'transfer', '--model', SHAPE, '--scale', SCALE, '--mode', mode, '--codec', codec, '--dir', work, '--json'],
  roleOf: ([program]) => /transfer-(sender|receiver)\.js$/.exec(program)?.[1],
});

const round = (name, codec) => ({
  name,
  roles: ['server', 'site'],
  command: (work) => {
    const model = join(work, 'model');
    fedstream(['bench', 'make-model', SHAPE, model, '--scale', SCALE], process.env);
    writeFileSync(join(model, 'config.json'), '{}');
    const job = { rounds: 2, sites: 2, trainer: { name: 'grow' }, model: { path: model }, data: { generated: 100 } };
    writeFileSync(join(work, 'job.json'), JSON.stringify(job));
    const files = ['--job', join(work, 'job.json'), '--kit', at('trainer.mjs'), '--out', join(work, 'runs')];
    return ['simulate', ...files, '--codec', codec, '--json'];
  },
  roleOf: (command) => ({ server: 'server', client: 'site' })[command[1]],
});

/** All cases, in the order in which they run. */
export const CASES = [
  ...['regular', 'container', 'file'].flatMap((mode) => ['fp32', 'u4'].map((codec) => transfer(mode, codec))),
  round('two rounds, as by default', 'u4'),
  round('two rounds, fp32', 'fp32'),
];

/**
 * Runs a case; resolves with the counts of each of its roles, the largest of each where a role has
 * several processes. `preload` is a further module for every process, for a test that makes one
 * worse. Throws where the command fails, or where a process left no counts.
 */
export function countCase({ roles, command, roleOf }, preload) {
  const work = mkdtempSync(join(tmpdir(), 'fedstream-check-'));
  try {
    const counts = join(work, 'counts');
    mkdirSync(counts);
    const imports = [at('count.mjs'), ...(preload ? [preload] : [])].map((path) => `--import ${JSON.stringify(path)}`);
    const options = [process.env.NODE_OPTIONS, ...imports].filter(Boolean).join(' ');
    fedstream(command(work), { ...process.env, NODE_OPTIONS: options, FEDSTREAM_COUNTS: counts });
    const reports = readdirSync(counts).map((name) => JSON.parse(readFileSync(join(counts, name), 'utf8')));
    return Object.fromEntries(
      roles.map((role) => [
        role,
        largest(
          role,
          reports.filter((report) => roleOf(report.command) === role),
        ),
      ]),
    );
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function largest(role, reports) {
  if (reports.length === 0) throw new Error(`no process of the role ${role} left its counts; see bench/check/count.mjs`);
  const counters = Object.keys(reports[0]).filter((name) => name !== 'command');
  return Object.fromEntries(counters.map((name) => [name, Math.max(...reports.map((report) => report[name]))]));
}

function fedstream(words, env) {
  if (!existsSync(at('../../dist/bundle'))) throw new Error('dist/ is not built; run `npm run build` first');
  const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...words], { env, encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (status !== 0) throw new Error(`fedstream ${words.join(' ')} ended with ${status}: ${stderr.trim()}`);
}
