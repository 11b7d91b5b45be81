// The handlers of a site's tasks, by kind. A program that embeds a site may add further kinds.
import { FedStreamError } from '../core/errors.js';
import { Tellable } from '../core/told.js';
import { MAX_HEADER_TEXT_BYTES, type ResultFigures, type Task } from '../exchange/task.js';
import { frozenIn, ownFilters } from '../filter/chain.js';
import { textBytes, withTexts } from '../tensor/noted-texts.js';
import { selectTensors } from '../tensor/select-tensors.js';
import { withManifest } from '../tensor/state-dict.js';
import { withoutPaths } from '../trainer/offered-texts.js';
import { statisticsSchema } from '../trainer/statistics.js';
import type { Metrics } from '../trainer/trainer.js';
import { checkFrozen } from './frozen.js';
import { checkTask, least, SAMPLES } from './job-limits.js';
import { resultMessage } from './result-message.js';
import { checkExtras, LEAST_COUNT, withoutMetadata } from './share.js';
import { sharedEvaluation } from './shared-evaluation.js';
import { refusedBy } from './site-rule.js';
import type { TaskHandler, TaskHandlers } from './task-handler.js';
import { hasBase } from './task-model.js';
import { trainPart } from './train-part.js';

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
  await place.checkAbilities(task, reports.onProgress);
  const { given, content: model, hasLocal, release } = await place.model(task);
  const extras = await place.extras(task).catch(async (error: unknown) => {
    await release();
    throw error;
  });
  try {
    await place.checkAbilities(task, reports.onProgress, extras.extras);
    await place.repeats.count(task, { model, extras: extras.content });
    const { round, rounds, figures: numbers } = task;
    const progress = { round, rounds, onProgress: reports.onProgress };
    const evaluating = { ...progress, ...(task.extras && { extras: extras.extras }) };
    const evaluation = task.evaluate && !trainer.evaluatesInTraining ? await trainer.evaluate(given, signal, evaluating) : undefined;
    // Where the server evaluates, it has not the tensors that are this site's own.
    const personal =
      hasLocal && !task.evaluate && !trainer.evaluatesInTraining ? await trainer.evaluate(given, signal, evaluating) : undefined;
    const more = { ...(task.extras && { extras: extras.extras }), ...(numbers && { figures: numbers }) };
    const result = await trainer.train({ ...progress, ...more, signal, onStep: reports.onStep }, given);
    await reports.flush();
    const isFrozen = frozenIn(job);
    if (isFrozen) await checkFrozen(result.model, given, isFrozen, codecs);
    if (enforced.stated('leastSamples')) least('leastSamples', result.samples, enforced.limits, SAMPLES);
    if (trainer.samplesIn) least('leastSamples', trainer.samplesIn(round, result.steps), enforced.limits, SAMPLES);
    if (enforced.stated('leastSteps') || job.train.localSeconds !== undefined)
      least('leastSteps', result.steps, enforced.limits, 'steps in a round');
    checkExtras(result.extras ?? {}, extras.extras, job, task);
    const figures: ResultFigures = {
      task: task.id,
      samples: result.samples,
      steps: result.steps,
      trainLoss: result.trainLoss,
      evaluation: sharedEvaluation(result.evaluation ?? evaluation, place),
      personal: sharedEvaluation(result.personal ?? personal, place),
      counts: {},
      metrics: place.metrics.of(result.metrics),
    };
    const count = (name: string, amount: number): void => {
      figures.counts[name] = (figures.counts[name] ?? 0) + amount;
    };
    const note = (name: string, amount: number): void => log.info({ round, [name]: amount }, "counted by the owner's filters");
    const bare = Object.fromEntries(Object.entries(result.extras ?? {}).map(([name, extra]) => [name, withoutMetadata(extra)]));
    // What stays frozen is the same at all sites, and no site's own.
    const moving = isFrozen ? selectTensors(result.model, ({ name }) => !isFrozen(name)) : result.model;
    await place.local.keep(round, moving, [...ownFilters(job, 'result-out', place.filters), ...enforced.filters]);
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

const evaluate: TaskHandler = async (task, place, reports) => {
  checkTask(task, place.job);
  const { given, content: model, release } = await (task.parts ? place.wholeOfParts(task) : place.model(task));
  const extras = await place.extras(task).catch(async (error: unknown) => {
    await release();
    throw error;
  });
  try {
    await place.repeats.count(task, { model, extras: extras.content });
    const { round, rounds } = task;
    const more = task.extras && { extras: extras.extras };
    const evaluation = await place.trainer.evaluate(given, place.signal, { round, rounds, onProgress: reports.onProgress, ...more });
    await reports.flush();
    await place.answer(task, figuresOf(task, sharedEvaluation(evaluation, place)));
  } finally {
    await release();
    await extras.release();
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

/** Tells statistics of the data, where the site's owner allows it, in bins as large as both sides ask for. */
const statistics: TaskHandler = async (task, place) => {
  const { job, trainer, enforced, repeats, signal } = place;
  checkTask(task, job);
  const { statistics: allowed = false } = enforced.share;
  if (allowed === false)
    throw refusedBy(
      'share.statistics',
      'the job asks for statistics of the data; "statistics" in the site’s "share" allows them (docs/site.md)',
    );
  if (!trainer.statistics)
    throw new FedStreamError('unsupported', 'the trainer here tells no statistics of its data', { cause: new Tellable() });
  const { leastCount = 1, tokens = 0, categories = 0 } = task.figures ?? {};
  const own = allowed === true ? LEAST_COUNT : allowed.leastCount;
  const wish = { leastCount: Math.max(own, Math.ceil(leastCount)), tokens: Math.floor(tokens), categories: categories === 1 };
  // Other bins of the same data would tell by their difference what each alone does not.
  await repeats.count(task, { model: 'statistics' });
  const told = statisticsSchema.safeParse(await trainer.statistics(wish, signal));
  if (!told.success) {
    const [issue] = told.error.issues;
    throw new FedStreamError('trainer', `the trainer's statistics cannot be told: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  await place.answer(task, { ...figuresOf(task), statistics: told.data });
};

/** The handlers of the kinds that every site knows. */
export const TASK_HANDLERS: TaskHandlers = { train, trainPart, evaluate, offer, base, statistics };

/** Figures of a task without training. */
export function figuresOf({ id }: Task, evaluation?: Metrics): ResultFigures {
  return { task: id, samples: evaluation?.samples ?? 1, steps: 0, trainLoss: 0, evaluation, counts: {} };
}
