// The handler of `trainPart`: receives what a segment merges, sends what has changed of one part, and
// leaves the training to go on meanwhile (docs/spec/streaming.md).
import { FedStreamError } from '../core/errors.js';
import { Tellable } from '../core/told.js';
import type { ResultFigures, Task } from '../exchange/task.js';
import { ownFilters } from '../filter/chain.js';
import { filteredManifest } from '../filter/filter.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Metrics, TrainedPart } from '../trainer/trainer.js';
import { checkTask, least } from './job-limits.js';
import type { PartSession } from './part-session.js';
import { resultMessage } from './result-message.js';
import { withoutMetadata } from './share.js';
import { sharedEvaluation } from './shared-evaluation.js';
import type { StepReports } from './step-reports.js';
import type { TaskHandler } from './task-handler.js';
import { isTransient } from './transient-errors.js';
import type { Workplace } from './workplace.js';

type TaskParts = NonNullable<Task['parts']>;

/** Trains a segment and sends its part; the training itself does not wait for that. */
export const trainPart: TaskHandler = async (task, place, reports) => {
  const { job, trainer, log, link, enforced } = place;
  checkTask(task, job);
  const { parts } = task;
  if (!parts) throw new FedStreamError('bad-frame', `the task ${task.id} names no parts of the model`);
  try {
    const kept = await link.sendKept(task);
    if (kept) {
      log.info({ round: task.round, part: parts.part, ...kept }, 'the server has the part');
      return;
    }
    if (trainer.samplesIn)
      least(
        'leastSamples',
        trainer.samplesIn(task.round, parts),
        enforced.limits,
        `different samples in one of ${parts.of} parts of a round`,
      );
    await trained(task, parts, place, reports);
  } catch (error) {
    if (!isTransient(error, place.signal)) await place.parts.drop(task);
    throw error;
  }
};

async function trained(task: Task, parts: TaskParts, place: Workplace, reports: StepReports): Promise<void> {
  const { trainer, enforced, signal } = place;
  let evaluation: Metrics | undefined;
  await place.tellAbout(task, reports.onProgress);
  await place.checkAbilities(task, reports.onProgress);
  const { session, content } = await place.parts.at(task, async (model) => {
    const { round, rounds } = task;
    refuseLocal(model, place);
    if (task.evaluate) evaluation = await trainer.evaluate(model, signal, { round, rounds, onProgress: reports.onProgress });
  });
  await place.repeats.count(task, { model: content });
  const part = await segmentOf(session, task, parts, reports);
  const given = await place.parts.given(parts.part);
  try {
    await reports.flush();
    const what = `one of ${parts.of} parts of a round`;
    if (enforced.stated('leastSamples')) least('leastSamples', part.samples, enforced.limits, `samples in ${what}`);
    if (enforced.stated('leastSteps')) least('leastSteps', part.steps, enforced.limits, `steps in ${what}`);
    await send(task, part, given, evaluation, place);
  } finally {
    await part.model.close?.();
    await given.close?.();
  }
}

/** A merge would put the global model's values in the place of those that a filter keeps at the site. */
function refuseLocal({ manifest }: StateDict, { job, filters, enforced }: Workplace): void {
  const sent = filteredManifest(manifest, [...ownFilters(job, 'result-out', filters), ...enforced.filters]);
  if (sent.tensors.length === manifest.tensors.length) return;
  const message = 'a filter leaves tensors out of the results, and with the workflow streaming none can stay at a site';
  throw new FedStreamError('unsupported', message, { cause: new Tellable(message) });
}

/** The part at the end of the task's segment. Steps that follow are reported with the next task. */
async function segmentOf(session: PartSession, task: Task, parts: TaskParts, reports: StepReports): Promise<TrainedPart> {
  session.attach(reports);
  try {
    return await session.segment((task.round - 1) * parts.of + parts.part);
  } finally {
    session.detach();
  }
}

async function send(task: Task, part: TrainedPart, given: StateDict, evaluation: Metrics | undefined, place: Workplace): Promise<void> {
  const { job, site, codecs, enforced, log } = place;
  const { round } = task;
  const figures: ResultFigures = {
    task: task.id,
    samples: part.samples,
    steps: part.steps,
    trainLoss: part.trainLoss,
    evaluation: sharedEvaluation(evaluation, place),
    counts: {},
    metrics: place.metrics.of(part.metrics),
  };
  const count = (name: string, amount: number): void => {
    figures.counts[name] = (figures.counts[name] ?? 0) + amount;
  };
  const note = (name: string, amount: number): void => log.info({ round, [name]: amount }, "counted by the owner's filters");
  const residuals = place.parts.residuals((task.parts as TaskParts).part);
  const making = { task, job, site, codecs, table: place.filters, residuals, siteFilters: enforced.filters, count, note };
  await place.answer(task, figures, await resultMessage(withoutMetadata(part.model), given, making));
}
