// Options that describe a job, shared by the commands that take one.
import { type Command, Option } from 'commander';
import { codecNames } from '../codec/codec-name.js';
import { referenceCodecs } from '../codec/codec-table.js';
import { ALGORITHMS } from '../kit/algorithms.js';
import { STREAMING_MODES } from '../transfer/streaming-mode.js';
import { AGGREGATORS } from '../workflow/aggregate/aggregators.js';
import { WORKFLOWS } from '../workflow/workflows.js';
import type { JobOverrides } from './job-file.js';
import { variantOption } from './model-path.js';
import { positiveNumber, wholeNumber } from './options.js';

/** Values of the options that describe a job. */
export interface JobOptions extends JobOverrides {
  readonly job?: string;
  readonly out: string;
  readonly name?: string;
  readonly strict?: boolean;
}

/** Adds the options of a job; each that is given wins over the job file. */
export function addJobOptions(command: Command): Command {
  return command
    .option('--job <file>', 'job.json, or a TypeScript file that exports `job` (docs/job.md); without it, the default job')
    .option('--data <file>', 'instruction data that is split among the sites (docs/data.md)')
    .option('--fields <names>', 'fields of data in a shape of its own: prompt=…,answer=… (or messages=…, or text=…; docs/data.md)')
    .option('--strict', 'end at the first sample that cannot be used; without it, such samples are left out and counted')
    .addOption(new Option('--split <how>', 'how the data is split').choices(['iid', 'category']))
    .option('--alpha <number>', 'split by Dirichlet(alpha) instead: the smaller, the more the sites differ', positiveNumber)
    .option(
      '--model <folder>',
      'start from a Hugging Face folder, a GGUF file or a name on the hub; for the built-in trainer, of a Llama model',
    )
    .addOption(variantOption())
    .option('--trainer <name>', 'train with the program that each site has registered under this name')
    .option(
      '--codec <name>',
      `how messages are coded: lean (u4 down, u1 up), paper:<codec> (whole weights), or a codec both ways: ${codecNames(referenceCodecs).join(', ')}`,
    )
    .option('--first <how>', 'how sites get the first model: base (exact, and not sent to sites that have it), raw, or a codec')
    .option('--algorithm <name>', `settings that belong together: ${names(ALGORITHMS)} (docs/guide/algorithms.md)`)
    .option('--workflow <name>', `who is asked what, and when: ${names(WORKFLOWS)}, or one of --kit (docs/workflows.md)`)
    .option('--aggregator <name>', `how results become the next model: ${names(AGGREGATORS)}, or one of --kit`)
    .addOption(new Option('--streaming <mode>', 'what is in memory while a model moves').choices([...STREAMING_MODES]))
    .option('--rounds <count>', 'rounds', wholeNumber(1))
    .option('--sites <count>', 'number of sites', wholeNumber(1))
    .option('--seed <number>', 'seed of weights, data and order', wholeNumber(0))
    .option('--local-steps <count>', 'optimizer steps of a site in a round', wholeNumber(1))
    .option('--learning-rate <number>', 'highest learning rate', positiveNumber)
    .addOption(
      new Option('--optimizer-state <what>', 'keep the optimizer state from round to round, or reset it').choices(['keep', 'reset']),
    )
    .option('--delta', 'send updates instead of weights, both ways')
    .option('--no-delta', 'send full weights both ways')
    .option('--out <folder>', 'where run folders go', 'runs')
    .option('--name <name>', 'name of the run folder; by default the time');
}

/** Names of rows, for help. */
function names(table: readonly { readonly name: string }[]): string {
  return table.map(({ name }) => name).join(', ');
}
