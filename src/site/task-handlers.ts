// The handlers of a site's tasks, by kind. A program that embeds a site may add further kinds.
import { FedStreamError } from '../core/errors.js';
import { MAX_HEADER_TEXT_BYTES, type ResultFigures, type Task } from '../exchange/task.js';
import { textBytes, withTexts } from '../tensor/noted-texts.js';
import { withManifest } from '../tensor/state-dict.js';
import { withoutPaths } from '../trainer/offered-texts.js';
import type { Metrics } from '../trainer/trainer.js';
import { checkTask, least } from './job-limits.js';
import { resultMessage } from './result-message.js';
import { checkExtras, withoutMetadata } from './share.js';
import type { StepReports } from './step-reports.js';
import { hasBase } from './task-model.js';
import type { Workplace } from './workplace.js';

/** Does a task and sends its answer; an error is reported to the server. */
export type TaskHandler = (task: Task, place: Workplace, reports: StepReports) => Promise<void>;

/** Handlers by kind. */
export type TaskHandlers = Readonly<Record<string, TaskHandler>>;

/**
 * Trains the model of the task, evaluates it first where the task says so, and sends the result.
 */
const train: TaskHandler = async (task, place, reports) => {
  const { job, trainer, log, site, codecs, residuals, enforced, signal, link } = place;
  checkTask(task, job);
  const kept = await link.sendKept(task);
  if (kept) {
    log.info({ round: task.round, ...kept }, 'the server has the result');
    return;
  }
  if (trainer.samplesIn) least('leastSamples', trainer.samplesIn(task.round), enforced.limits, SAMPLES);
  await place.tellAbout(task, reports.onProgress);
  const { given, content: model, release } = await place.model(task);
  const extras = await place.extras(task).catch(async (error: unknown) => {
    await release();
    throw error;
  });
  try {
    await place.repeats.count(task, { model, extras: extras.content });
    const { round, rounds, figures: numbers } = task;
    const progress = { round, rounds, onProgress: reports.onProgress };
    const evaluation = task.evaluate && !trainer.evaluatesInTraining ? await trainer.evaluate(given, signal, progress) : undefined;
    const more = { ...(task.extras && { extras: extras.extras }), ...(numbers && { figures: numbers }) };
    const result = await trainer.train({ ...progress, ...more, signal, onStep: reports.onStep }, given);
    await reports.flush();
    if (enforced.stated('leastSamples')) least('leastSamples', result.samples, enforced.limits, SAMPLES);
    if (enforced.stated('leastSteps')) least('leastSteps', result.steps, enforced.limits, 'steps in a round');
    checkExtras(result.extras ?? {}, extras.extras, job, task);
    const figures: ResultFigures = {
      task: task.id,
      samples: result.samples,
      steps: result.steps,
      trainLoss: result.trainLoss,
      evaluation: sharedEvaluation(result.evaluation ?? evaluation, place),
      counts: {},
      metrics: place.metrics.of(result.metrics),
    };
    const count = (name: string, amount: number): void => {
      figures.counts[name] = (figures.counts[name] ?? 0) + amount;
    };
    const note = (name: string, amount: number): void => log.info({ round, [name]: amount }, "counted by the owner's filters");
    const bare = Object.fromEntries(Object.entries(result.extras ?? {}).map(([name, extra]) => [name, withoutMetadata(extra)]));
    const making = { task, job, site, codecs, table: place.filters, residuals, siteFilters: enforced.filters, count, note };
    const message = await resultMessage(withoutMetadata(result.model), given, { ...making, extras: result.extras && bare });
    await place.answer(task, figures, message);
    await result.model.close?.();
    for (const extra of Object.values(result.extras ?? {})) await extra.close?.();
  } finally {
    await release();
    await extras.release();
  }
};

/** The samples of a round, in the words of a refusal. */
const SAMPLES = 'different samples in a round';

const evaluate: TaskHandler = async (task, place, reports) => {
  checkTask(task, place.job);
  const { given, content: model, release } = await place.model(task);
  try {
    await place.repeats.count(task, { model });
    const { round, rounds } = task;
    const evaluation = await place.trainer.evaluate(given, place.signal, { round, rounds, onProgress: reports.onProgress });
    await reports.flush();
    await place.answer(task, figuresOf(task, sharedEvaluation(evaluation, place)));
  } finally {
    await release();
  }
};

/** Sends the trainer's own initial model, uncoded, with which all sites will begin. */
const offer: TaskHandler = async (task, place) => {
  const { trainer, signal } = place;
  if (!trainer.offer)
    throw new FedStreamError(
      'unsupported',
      'the job begins with a model of a site’s own, and the trainer here has none; give the job a model',
    );
  const { model, files } = await trainer.offer(signal);
  try {
    const texts = await withoutPaths(files);
    const fit = textBytes(texts) <= MAX_HEADER_TEXT_BYTES;
    const bare = withoutMetadata(model);
    const offered = fit ? bare : withManifest(bare, withTexts(bare.manifest, texts));
    await place.answer(task, { ...figuresOf(task), ...(fit && { files: texts }) }, offered, 'the server has the initial model');
  } finally {
    await model.close?.();
  }
};

/**
 * Tells the server whether the site has the model that the run begins with; if so, the site holds
 * it from then on.
 */
const base: TaskHandler = async (task, place) => {
  const found = await hasBase(task, { ...place.finding(), filters: [] });
  await place.answer(task, { ...figuresOf(task), metrics: { base: found ? 1 : 0 } });
};

/** The handlers of the kinds that every site knows. */
export const TASK_HANDLERS: TaskHandlers = { train, evaluate, offer, base };

/**
 * The figures of an evaluation, where it had samples enough; otherwise they stay here, since the
 * loss on a few samples says what is in them.
 */
function sharedEvaluation(evaluation: Metrics | undefined, { enforced, trainer, log }: Workplace): Metrics | undefined {
  const { limits } = enforced;
  const counts = trainer.samplesIn !== undefined || enforced.stated('leastEvaluationSamples');
  if (!evaluation || !counts || evaluation.samples >= limits.leastEvaluationSamples) return evaluation;
  const { samples } = evaluation;
  log.warn(
    { samples, limit: limits.leastEvaluationSamples },
    `the evaluation on ${samples} samples stays here: limits.leastEvaluationSamples is ${limits.leastEvaluationSamples}`,
  );
  return undefined;
}

/** Figures of a task without training. */
export function figuresOf({ id }: Task, evaluation?: Metrics): ResultFigures {
  return { task: id, samples: evaluation?.samples ?? 1, steps: 0, trainLoss: 0, evaluation, counts: {} };
}
