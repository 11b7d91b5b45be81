// Tests if a coding costs quality, and which rules stand a site that lies: federations of the
// built-in trainer, each arm against another with the same seeds. Writes a JSON line for each run.
import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { wholeNumber } from '../dist/cli/options.js';
import { parseJob } from '../dist/kit/kit.js';
import { benchCommand, listOf, oneOf } from './command.mjs';
import { ARM_NAMES, baseName, jobOf, keyOf, planOf, STUDIES, textOf } from './convergence/studies.mjs';
import { textOfFile } from './convergence/text.mjs';
import { resultsFile } from './evidence/rows.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const studies = Object.entries(STUDIES).map(([name, { title, seeds, arms }]) => `  ${name}  ${title}; ${seeds} seeds, ${arms.length} arms`);

const values = benchCommand(
  'convergence.mjs',
  `Tests if a coding costs quality, and which rules stand a site that lies: federations of the built-in trainer, with the same seeds in each arm.\n${studies.join('\n')}`,
  [
    ['', 'all studies but T, two runs at a time: about an hour on two cores'],
    ['--study T --text gsm8k.json', 'the study of text, on instruction data of your own (docs/trainer.md has the shapes)'],
    ['--resume', 'goes on where a study was stopped'],
    ['--study S --arms fp32,nf4 --seeds 1,2 --results trial.jsonl', 'some of it, beside the results of the tree'],
  ],
)
  .option(
    '--study <list>',
    Object.keys(STUDIES).join(', '),
    listOf(oneOf(Object.keys(STUDIES))),
    Object.keys(STUDIES).filter((name) => !STUDIES[name].needsText),
  )
  .option('--text <file>', 'the text of study T')
  .option('--arms <list>', ARM_NAMES.join(', '), listOf(oneOf(ARM_NAMES)))
  .option('--seeds <list>', 'instead of those of each study', listOf(wholeNumber(0, 0xffffffff)))
  .option('--jobs <number>', 'runs at the same time', wholeNumber(1, 64), 2)
  .option('--results <file>', 'where rows are kept, in place of those of the same runs', here('convergence/results.jsonl'))
  .option('--cache <folder>', 'where the trained models are kept that studies go on from', here('.cache/convergence'))
  .option('--resume', 'leave out the runs that the results have')
  .parse()
  .opts();

const results = resultsFile(values.results, keyOf);
const queue = planOf(values).filter((run) => !(values.resume && results.has(run)));
if (!values.text && values.study.some((name) => STUDIES[name].needsText)) {
  console.error('study T needs --text, a file of instruction data (docs/trainer.md has the shapes)');
  process.exit(2);
}
const text = values.text && (await textOfFile(values.text));
const pathOf = (base) => base && join(values.cache, baseName(base, text));
const baseOf = ({ study }) => STUDIES[study].base;
// A coding that this version does not know is reported before any time is spent.
for (const run of queue) parseJob(jobOf(run, pathOf(baseOf(run))), textOf(run));

const workers = [];
let stopped = false;
process.on('SIGINT', () => {
  stopped = true;
  for (const worker of workers) worker.kill('SIGKILL');
});

/** Asks a worker and waits for its answer; a worker that ends without one has failed. */
function ask(worker, message) {
  return new Promise((resolve) => {
    const ended = (code) => resolve({ failed: `the process ended (${code})` });
    worker.once('exit', ended);
    worker.once('message', (answer) => {
      worker.off('exit', ended);
      resolve(answer);
    });
    worker.send(message);
  });
}

const startWorker = () => {
  const worker = fork(here('convergence/worker.mjs'));
  workers.push(worker);
  return worker;
};

let failures = 0;
async function work() {
  let worker = startWorker();
  for (let run = queue.shift(); run && !stopped; run = queue.shift()) {
    const { row, failed } = await ask(worker, { run, path: pathOf(baseOf(run)), text });
    if (stopped) break;
    if (row) {
      if (STUDIES[run.study].needsText) row.text = { name: text.name, sha256: text.sha256 };
      results.keep(row);
      console.log(JSON.stringify(row));
      console.error(
        `${textOf(run)}: ${row.initial.toFixed(3)} -> ${row.final.toFixed(5)}, ${row.seconds.toFixed(0)} s, ${queue.length} left`,
      );
    } else {
      failures++;
      console.error(`${textOf(run)} failed: ${failed}`);
      worker.kill('SIGKILL');
      worker = startWorker();
    }
  }
  worker.kill('SIGKILL');
}

for (const base of new Set(queue.map(baseOf).filter(Boolean))) {
  if (existsSync(pathOf(base)) || stopped) continue;
  const using = Object.keys(STUDIES).filter((name) => STUDIES[name].base === base);
  console.error(`training the model that studies go on from: ${using.join(', ')}`);
  const worker = startWorker();
  const { row, failed } = await ask(worker, { base, path: pathOf(base), text });
  if (failed && !stopped) throw new Error(`the model of ${using.join(', ')} could not be trained: ${failed}`);
  if (row) console.error(`trained: ${row.initial.toFixed(3)} -> ${row.final.toFixed(5)}, ${row.seconds.toFixed(0)} s`);
  worker.kill('SIGKILL');
}
await Promise.all(Array.from({ length: Math.min(values.jobs, queue.length) }, work));
if (stopped) console.error('stopped; what is finished is kept: go on with --resume');
process.exit(stopped ? 130 : failures > 0 ? 1 : 0);
