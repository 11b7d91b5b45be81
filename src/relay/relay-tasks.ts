// The tasks of a relay: each is asked of its own sites, and answered as one site answers.
import { inFloat32 } from '../codec/float32.js';
import { FedStreamError } from '../core/errors.js';
import { Tellable } from '../core/told.js';
import type { ResultFigures, Task } from '../exchange/task.js';
import type { InnerRun, InnerTask } from '../hub/inner-run.js';
import type { RunFederation } from '../server/run-federation.js';
import { checkTask } from '../site/job-limits.js';
import { resultMessage } from '../site/result-message.js';
import type { StepReports } from '../site/step-reports.js';
import type { TaskHandler, TaskHandlers } from '../site/task-handler.js';
import { figuresOf } from '../site/task-handlers.js';
import { type GivenModel, hasBase, receiveTaskModel } from '../site/task-model.js';
import type { Workplace } from '../site/workplace.js';
import type { StateDict } from '../tensor/state-dict.js';
import { type Aggregating, aggregated } from '../workflow/aggregate/aggregated.js';
import type { Offer, Outcome } from '../workflow/federation.js';
import type { PassedObjects } from './passed-objects.js';
import type { PassingBroadcaster } from './passing-broadcaster.js';
import { evaluationBelow, figuresBelow, relaying } from './reduced.js';

/** The parts of a relay that its tasks work with. */
export interface RelayWork {
  /** The run of the relay's own sites. */
  inner(): InnerRun;
  readonly objects: PassedObjects;
  readonly broadcaster: PassingBroadcaster;
  /** Tells the server what the sites have told, once they all have. */
  tellAbout(task: Task, place: Workplace, reports: StepReports): Promise<void>;
  /** Called around the work of a task, for reports of progress. */
  during<T>(task: Task, place: Workplace, reports: StepReports, work: () => Promise<T>): Promise<T>;
}

/** Makes the handlers. A kind of task that is not among them is refused by its name. */
export function relayTasks(relay: RelayWork): TaskHandlers {
  let combining: Aggregating | undefined;
  const train: TaskHandler = async (task, place, reports) => {
    const { link, log, job } = place;
    checkTask(task, job);
    const kept = await link.sendKept(task);
    if (kept) {
      log.info({ round: task.round, ...kept }, 'the server has the result');
      return;
    }
    await refuseExtras(task, place);
    await relay.tellAbout(task, place, reports);
    await withModel(relay, task, place, reports, async (offer, found, federation) => {
      const { round, evaluate, figures, needs } = task;
      federation.emit({ type: 'round-started', round });
      const startedMs = performance.now();
      // Each site answers for its own trainer, whether it knows what the workflow needs.
      const asks = { kind: 'train', offer, evaluate, round, ...(figures && { figures }), ...(needs && { needs }) };
      const outcomes = await federation.gather(asks);
      combining ??= relaying(job);
      const trained = await aggregated(combining, outcomes, found.held, federation);
      await answerTrained(trained, figuresBelow(task, outcomes, federation), { task, place, found });
      await trained.close?.();
      recordRound(federation, task, outcomes, performance.now() - startedMs);
    });
  };

  const evaluate: TaskHandler = async (task, place, reports) => {
    checkTask(task, place.job);
    await withModel(relay, task, place, reports, async (offer, _, federation) => {
      const outcomes = await federation.gather({ kind: 'evaluate', offer, evaluate: true, round: task.round });
      const evaluation = evaluationBelow(outcomes, federation);
      if (evaluation) federation.emit({ type: 'evaluation', round: task.round, ...evaluation });
      await place.answer(task, figuresOf(task, evaluation));
    });
  };

  /** Passes on the model of the first own site that has one. */
  const offer: TaskHandler = async (task, place, reports) => {
    await relay.during(task, place, reports, () =>
      relay.inner().perform(asked(task, place), async (federation) => {
        const reasons: string[] = [];
        for (const site of [...federation.connected()].sort()) {
          const [outcome] = (await federation.gather({ kind: 'offer', round: 0 }, { sites: [site], quorum: 0 })) as [Outcome];
          if (outcome.status === 'done' && outcome.reply.model) {
            const { figures, model } = outcome.reply;
            const { files } = figures;
            await place.answer(task, { ...figuresOf(task), ...(files && { files }) }, model, 'the server has the initial model');
            return;
          }
          reasons.push(`${site} ${outcome.status === 'done' ? 'sent none' : outcome.reason}`);
        }
        throw new FedStreamError('unsupported', `no site of this relay offers a model: ${reasons.join('; ')}`);
      }),
    );
  };

  /** True only where this relay and all its sites have the model: it would travel to the others. */
  const base: TaskHandler = async (task, place, reports) => {
    const finding = place.finding();
    const found = (await hasBase(task, { ...finding, filters: [] })) && (await finding.held.current());
    if (!found || !task.model) {
      await place.answer(task, { ...figuresOf(task), metrics: { base: 0 } });
      return;
    }
    relay.broadcaster.pass(task.model);
    const model = async () => found.model;
    await relay.during(task, place, reports, () =>
      relay.inner().perform({ ...asked(task, place), model }, async (federation) => {
        const asked = { kind: 'base', offer: await federation.offer(), round: 0 };
        const outcomes = await federation.gather(asked, { quorum: 0 });
        const all = outcomes.every((outcome) => outcome.status === 'done' && outcome.reply.figures.metrics?.base === 1);
        await place.answer(task, { ...figuresOf(task), metrics: { base: all ? 1 : 0 } });
      }),
    );
  };

  return { train, evaluate, offer, base };
}

/**
 * A task of the inner run: its key is the same after a crash of either side, and a later run of the
 * same round has another model. Sites are waited for as long as the server waits for this relay.
 */
function asked({ id, model }: Task, { job }: Workplace): InnerTask {
  return { key: `${id} ${model?.whole.object ?? ''}`, waitMs: job.stragglerMs };
}

/** Fetches the model of a task, offers it to the own sites as it came, and does the work over them. */
async function withModel(
  relay: RelayWork,
  task: Task,
  place: Workplace,
  reports: StepReports,
  work: (offer: Offer, found: GivenModel, federation: RunFederation) => Promise<void>,
): Promise<void> {
  const { broadcaster, objects } = relay;
  const found = await receiveTaskModel(task, { ...place.finding(), link: objects.keeping(place.link) });
  try {
    if (task.model) broadcaster.pass(task.model);
    const model = async (): Promise<StateDict> => unclosed(found.held);
    await relay.during(task, place, reports, () =>
      relay.inner().perform({ ...asked(task, place), model }, async (federation) => work(await federation.offer(), found, federation)),
    );
  } finally {
    await found.release();
  }
}

/** The model without its `close`: it is read again after it was written. */
function unclosed({ manifest, chunks, stored }: StateDict): StateDict {
  return { manifest, chunks, ...(stored && { stored }) };
}

/** Sends the mean as a site sends what it trained: the same filters, coding and residual. */
async function answerTrained(
  trained: StateDict,
  figures: ResultFigures,
  { task, place, found }: { readonly task: Task; readonly place: Workplace; readonly found: GivenModel },
): Promise<void> {
  const { job, site, codecs, residuals, enforced, filters: table, log } = place;
  const count = (name: string, amount: number): void => {
    figures.counts[name] = (figures.counts[name] ?? 0) + amount;
  };
  const note = (name: string, amount: number): void => log.info({ round: task.round, [name]: amount }, "counted by the owner's filters");
  figures.metrics = place.metrics.of(figures.metrics);
  // Both are float32: what the sites trained beside their dtypes stays in the mean.
  const given = inFloat32(found.held);
  const message = await resultMessage(trained, given, {
    task,
    job,
    site,
    codecs,
    table,
    residuals,
    siteFilters: enforced.filters,
    count,
    note,
  });
  await place.answer(task, figures, message);
}

/**
 * Refuses state dicts beside the model: their sum over sites of several relays is not the sum over
 * relays, and the model would be wrong without a word.
 */
async function refuseExtras(task: Task, place: Workplace): Promise<void> {
  if (!task.extras) return;
  const { extras, release } = await place.extras(task);
  await release();
  const names = Object.keys(extras).map((name) => JSON.stringify(name));
  const message = `a relay combines models alone, and the job's workflow sends ${names.join(', ')} beside the model: it needs sites that are connected to its server themselves`;
  // Only the job's own words are in it, so the server is told.
  throw new FedStreamError('unsupported', message, { cause: new Tellable(message) });
}

function recordRound(federation: RunFederation, { round }: Task, outcomes: readonly Outcome[], tookMs: number): void {
  const { bytesDown, bytesUp } = federation.traffic;
  const evaluation = evaluationBelow(outcomes, federation);
  // The sites evaluate the model that they are given, which is that of the round before.
  if (evaluation) federation.emit({ type: 'evaluation', round: round - 1, ...evaluation });
  federation.emit({ type: 'round-finished', round, seconds: tookMs / 1000, reduceSeconds: 0, bytesDown, bytesUp });
}
