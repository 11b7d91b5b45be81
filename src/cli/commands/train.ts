// `fedstream train`: the training of a job on all its data in one place, without a federation.

import { join } from 'node:path';
import { Command } from 'commander';
import { FedStreamError } from '../../core/errors.js';
import { jsonText } from '../../core/json-text.js';
import { type Job, siteNames } from '../../job/job.js';
import { fileLogger } from '../../node/process/log-file.js';
import { processMemory } from '../../node/process/memory.js';
import { stopSignal } from '../../node/process/stop-signal.js';
import { loadRunData, prepareRun, type RunData } from '../../node/run/prepare-run.js';
import { readModelTexts, writeModelFolder } from '../../node/run/run-files.js';
import { createRunFolder } from '../../node/run/run-folder.js';
import { nodeFolder } from '../../node/storage/node-folder.js';
import { makeTrainer } from '../../node/trainer/make-trainer.js';
import type { EmitEvent } from '../../record/events.js';
import { openRunRecord } from '../../record/run-record.js';
import { globalModelPath, openGlobalModel, pruneGlobalModels, writeGlobalModel } from '../../server/global-models.js';
import { type JournalEntry, writeJournal } from '../../server/journal.js';
import { elementCount } from '../../tensor/dtype.js';
import { type EventOptions, eventsOption, openEvents } from '../event-options.js';
import { finishRun, summaryLines } from '../finish-run.js';
import { loadJob } from '../job-file.js';
import { addJobOptions, type JobOptions } from '../job-options.js';
import { wholeNumber } from '../options.js';
import { eventReporter } from '../progress.js';
import { say } from '../say.js';

interface TrainOptions extends JobOptions, EventOptions {
  readonly threads?: number;
}

const HELP = `
Examples:
  $ fedstream train                                        the default job, trained in one place
  $ fedstream train --data instructions.jsonl --rounds 5 --threads 2

A round here is only the time between two evaluations: rounds × local steps are trained in one go.
`;

const CENTRAL = 'central';

/** The subcommand `train`. */
export function trainCommand(): Command {
  return addJobOptions(
    new Command('train').description('Train centrally: the same trainer, data and schedule as a federation, in one process.'),
  )
    .option('--threads <count>', 'training threads; by default one a core, at most 4', wholeNumber(1))
    .addOption(eventsOption())
    .option('--json', 'print the summary as JSON on standard output')
    .addHelpText('after', HELP)
    .action(train);
}

async function train(options: TrainOptions): Promise<void> {
  const asked = await loadJob(options.job, options);
  if (asked.trainer)
    throw new FedStreamError(
      'unsupported',
      `fedstream train has the built-in trainer only; run the program of ${asked.trainer.name} by itself`,
    );
  const further = await openEvents(options);
  const data = pooled(await loadRunData(asked, { onSkipped: options.strict ? undefined : say }), asked);
  const runPath = createRunFolder(options.out, options.name, 'train');
  const job = await prepareRun(asked, runPath, data, say);
  const reporter = eventReporter(job);
  reporter.line(`run ${runPath}`);
  const signal = stopSignal({ supervised: false, onStop: () => reporter.line('stopping; what is finished is kept') });
  const progress = { emit: reporter.event, close: async () => {} };
  const record = await openRunRecord(nodeFolder(runPath), { sinks: { progress, ...further } });
  const { emit } = record;
  const memory = setInterval(() => emit({ type: 'memory', process: CENTRAL, ...processMemory() }), 1_000);
  try {
    await trainRounds(job, runPath, data, { emit, signal, threads: options.threads });
    emit({ type: 'run-finished', reason: 'all steps are done' });
  } finally {
    clearInterval(memory);
    emit({ type: 'memory', process: CENTRAL, ...processMemory() });
    await record.close();
    reporter.end();
  }
  const summary = await finishRun(runPath, job, 'fedstream train');
  for (const line of summaryLines(summary, runPath)) say(line);
  if (options.json) process.stdout.write(`${jsonText(summary, 'the summary', 2)}\n`);
}

/** All training data, in the order of the sites. */
function pooled({ bySite, validation }: RunData, job: Job): RunData {
  return { bySite: new Map([[CENTRAL, siteNames(job).flatMap((site) => bySite.get(site) ?? [])]]), validation };
}

interface Surroundings {
  readonly emit: EmitEvent;
  readonly signal: AbortSignal;
  readonly threads?: number;
}

async function trainRounds(job: Job, runPath: string, data: RunData, { emit, signal, threads }: Surroundings): Promise<void> {
  const run = nodeFolder(runPath);
  const log = fileLogger(join(runPath, 'logs', 'train.log'), { name: CENTRAL });
  const training = data.bySite.get(CENTRAL) ?? [];
  const trainer = await makeTrainer({ job, files: await readModelTexts(runPath), training, validation: data.validation, threads, log });
  try {
    let model = await openGlobalModel(run, 0);
    const parameters = model.manifest.tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    const startedAt = new Date().toISOString();
    emit({
      type: 'run-started',
      name: runPath.split('/').at(-1) ?? 'run',
      codec: 'none',
      streaming: 'none',
      sites: [CENTRAL],
      rounds: job.rounds,
      seed: job.seed,
      startedAt,
      parameters,
    });
    const initial = await trainer.evaluate(model, signal);
    const history: JournalEntry[] = [{ round: 0, model: globalModelPath(0), evaluation: initial }];
    if (initial) emit({ type: 'evaluation', round: 0, ...initial });
    for (let round = 1; round <= job.rounds; round++) {
      const startedMs = performance.now();
      emit({ type: 'round-started', round });
      const onStep = (step: { step: number; loss: number; learningRate: number; tokens: number }): void =>
        emit({ type: 'step', site: CENTRAL, round, ...step });
      const result = await trainer.train({ round, rounds: job.rounds, signal, onStep }, model);
      await model.close?.();
      await writeGlobalModel(run, round, result.model);
      model = await openGlobalModel(run, round);
      emit({ type: 'site-result', site: CENTRAL, round, trainLoss: result.trainLoss, samples: result.samples, steps: result.steps });
      const evaluation = await trainer.evaluate(model, signal);
      if (evaluation) emit({ type: 'evaluation', round, ...evaluation });
      history.push({ round, model: globalModelPath(round), evaluation });
      await writeJournal(run, history);
      await pruneGlobalModels(run, [round]);
      emit({ type: 'round-finished', round, seconds: (performance.now() - startedMs) / 1000, bytesDown: 0, bytesUp: 0 });
    }
    await model.close?.();
    await writeModelFolder(runPath, 'model', job.rounds);
  } finally {
    await trainer.close();
    log.close();
  }
}
