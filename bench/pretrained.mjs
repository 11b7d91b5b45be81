// Tests if a coding costs quality on a pretrained LLM: `fedstream simulate` fine-tunes
// SmolLM2-135M-Instruct, arm by arm. Writes a JSON line for each run.
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { wholeNumber } from '../dist/cli/options.js';
import { FedStreamError } from '../dist/core/errors.js';
import { parseJob } from '../dist/kit/kit.js';
import { benchCommand, listOf, oneOf } from './command.mjs';
import { resultsFile } from './evidence/rows.mjs';
import { ARM_NAMES, armsOf, jobOf, keyOf, SIZES, sitesOf } from './pretrained/arms.mjs';
import { prepareData } from './pretrained/data.mjs';
import { modelFolder } from './pretrained/model.mjs';
import { evaluate, runArm } from './pretrained/run.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const sizes = Object.entries(SIZES).map(
  ([name, { rounds, localSteps, batchSize, maxTokens, arms, seeds, adapter, ...kinds }]) =>
    `  ${name}  ${adapter ? `LoRA of rank ${adapter.rank}, ` : ''}${sitesOf(kinds, 'a') + sitesOf(kinds, 'b')} sites, ${rounds} rounds of ${localSteps} steps of ${batchSize} x ${maxTokens} tokens; ${arms.length} arms, seeds ${seeds}`,
);

const values = benchCommand(
  'pretrained.mjs',
  `Whether a coding costs quality on a pretrained LLM: SmolLM2-135M-Instruct (Apache-2.0, some 135 million parameters), full fine-tuning by
\`fedstream simulate\` and transformers' Trainer. The first run fetches the model; node scripts/python-env.mjs makes the Python that it needs.\n${sizes.join('\n')}`,
  [
    ['', 'three arms on two cores: a quarter of an hour'],
    ['--size tiny --results trial.jsonl', 'two minutes, to see that all of it works'],
    ['--size gpu --seeds 11', 'all arms on a GPU, one seed'],
    ['--size lora-cpu', 'the ways of averaging an adapter, side by side'],
    ['--resume --arms fp32,floor,lean --seeds 11,12', 'what is missing of these'],
    ['--data-a gsm8k.json --data-b roleplay.json', 'instruction data of your own, a kind each (docs/trainer.md has the shapes)'],
  ],
)
  .option('--size <name>', Object.keys(SIZES).join(', '), oneOf(Object.keys(SIZES)), 'cpu')
  .option('--arms <list>', ARM_NAMES.join(', '), listOf(oneOf(ARM_NAMES)))
  .option('--seeds <list>', 'instead of those of the size', listOf(wholeNumber(0, 0xffffffff)))
  .option('--data-a <file>', 'instruction data of the first kind of site; by default generated tasks with numbers and lists')
  .option('--data-b <file>', 'and of the second; by default generated tasks about facts')
  .option('--dtype <name>', 'of the weights that travel and that are trained: float32, bfloat16', oneOf(['float32', 'bfloat16']), 'float32')
  .option('--python <program>', 'with torch and transformers', here('../.venv/bin/python'))
  .option('--cache <folder>', 'where model and runs are', here('.cache/pretrained'))
  .option('--results <file>', 'where rows are kept, in place of those of the same runs; by default a file beside this one')
  .option('--resume', 'leave out the runs that the results have')
  .parse()
  .opts();

const { size, dtype, python, arms = SIZES[size].arms, seeds = SIZES[size].seeds } = values;
const cache = resolve(values.cache);
const foreign = arms.find((arm) => !armsOf(size).includes(arm));
if (foreign !== undefined) throw new FedStreamError('bad-argument', `--arms: ${size} has no ${foreign}; it has ${armsOf(size).join(', ')}`);
const file = values.results ?? here(`pretrained/${SIZES[size].adapter ? 'lora' : 'results'}.jsonl`);
const results = resultsFile(file, keyOf);
const folder = join(cache, 'data');
const data = await prepareData(values, SIZES[size], folder);
const queue = seeds
  .flatMap((seed) => arms.map((arm) => ({ arm, seed })))
  .filter((run) => !(values.resume && results.has({ ...run, size, dtype, data: data.kinds })));
// A coding that this version does not know is reported before anything is fetched.
for (const run of queue) parseJob(jobOf(run, size, { model: cache, files: data.files }), run.arm);

// The simulation gets the signal as well, and ends by itself.
process.on('SIGINT', () => {});
if (queue.length > 0) {
  const model = await modelFolder({ python, cache, dtype });
  const setting = { python, cache, size, dtype, model, data, folder };
  const initial = evaluate(model, setting);
  console.error(`before: ${textOf(initial.losses)}, on ${initial.device}`);
  for (const [index, run] of queue.entries()) {
    const row = await runArm(run, { ...setting, initial });
    results.keep(row);
    console.log(JSON.stringify(row));
    console.error(
      `${run.arm} seed ${run.seed}: ${textOf(row.final)}, ${(100 * row.bytes.ratio).toFixed(1)} % of fp32's bytes, ${row.seconds.toFixed(0)} s, ${queue.length - index - 1} left`,
    );
  }
}

function textOf(losses) {
  return Object.values(losses)
    .map((loss) => loss.toFixed(4))
    .join(' / ');
}
