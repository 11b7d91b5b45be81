// A site: joins the server, asks for tasks, runs them, sends results, until it is told to stop.

import type { CodecTable } from '../codec/codec.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Folder } from '../core/storage.js';
import { type Memory, STEPS_A_REPORT } from '../exchange/protocol.js';
import type { ResultFigures, Task } from '../exchange/task.js';
import { ownFilters } from '../filter/chain.js';
import type { Job } from '../job/job.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { StepReport, Trainer } from '../trainer/trainer.js';
import { type ExecutionListener, execute } from './executor.js';
import type { Base } from './find-base.js';
import { isLost } from './lost.js';
import { Residuals } from './residuals.js';
import { resultMessage } from './result-message.js';
import type { Joined, ServerLink, WriteResult } from './server-link.js';
import { SiteHeld } from './site-held.js';
import { hasBase, receiveTaskModel } from './task-model.js';

export interface ClientOptions {
  readonly site: string;
  readonly link: ServerLink;
  readonly codecs: CodecTable;
  readonly log: Logger;
  /** The site's own folder: what it holds of the global model stays there from round to round. */
  readonly folder: Folder;
  readonly signal: AbortSignal;
  memory(): Memory;
  /** Models that the site has already: where a run begins with one of them, it does not travel. */
  readonly bases?: readonly Base[];
  /** The site's own trainer for a job: the server sends data, never code. */
  makeTrainer(joined: Joined): Promise<Trainer>;
}

/** Runs until the server says stop; returns its reason. Rejects with `aborted`, `refused`, or whatever keeps the site from working. */
export async function runClient(options: ClientOptions): Promise<string> {
  const { link, log, site } = options;
  const joined = await link.join();
  log.info({ site, rounds: joined.job.rounds }, 'joined the job');
  const trainer = await options.makeTrainer(joined);
  const place = workplace(joined, trainer, options);
  try {
    for (;;) {
      const next = await link.next();
      if ('stop' in next) return next.stop;
      await runTask(next.task, place, options);
    }
  } finally {
    await trainer.close();
  }
}

/** What a site keeps from task to task. */
interface Workplace {
  readonly job: Job;
  readonly trainer: Trainer;
  readonly held: SiteHeld;
  readonly residuals: Residuals;
  readonly bases: readonly Base[];
}

function workplace(joined: Joined, trainer: Trainer, { folder, codecs, signal, bases: named = [] }: ClientOptions): Workplace {
  const { job, run } = joined;
  const bases = [...named, ...trainerBase(trainer, job, signal)];
  const held = new SiteHeld({ folder: folder.folder('held'), run, bases, codecs });
  return { job, trainer, held, residuals: new Residuals(folder.folder('residual'), run, codecs), bases };
}

/** A task that fails here is told to the server, which decides what becomes of the round. */
async function runTask(task: Task, place: Workplace, options: ClientOptions): Promise<void> {
  const { link, log, signal } = options;
  const reports = new StepReports(task, options);
  try {
    if (task.kind === 'offer') await offerAndSend(task, place.trainer, options);
    else if (task.kind === 'base') await lookForBase(task, place, options);
    else await trainAndSend(task, place, options, reports);
  } catch (error) {
    const failure = asFedStreamError(error);
    if (isLost(failure, signal)) throw failure;
    log.error({ task: task.id, code: failure.code }, failure.message);
    await link.fail(task.id, failure.code, failure.message);
  } finally {
    reports.close();
  }
}

async function trainAndSend(task: Task, place: Workplace, options: ClientOptions, reports: StepReports): Promise<void> {
  const { link, log, site, codecs, signal } = options;
  const { job, trainer, held, residuals, bases } = place;
  const kept = await link.sendKept(task);
  if (kept) {
    log.info({ round: task.round, ...kept }, 'the server has the result');
    return;
  }
  const finding = { site, link, codecs, log, held, bases, signal, filters: ownFilters(job, 'task-in') };
  const { given, release } = await receiveTaskModel(task, finding);
  try {
    const { figures, trained } = await execute(task, given, trainer, signal, reports);
    await reports.flush();
    const count = (name: string, amount: number): void => {
      figures.counts[name] = (figures.counts[name] ?? 0) + amount;
    };
    const message = trained && (await resultMessage(trained, given, { task, job, site, codecs, residuals, count }));
    await send(task, figures, message, residuals, options);
    await trained?.close?.();
  } finally {
    await release();
  }
}

/** Says whether the site has the model that the run begins with; it then holds it already. */
async function lookForBase(task: Task, place: Workplace, options: ClientOptions): Promise<void> {
  const { link, log, site, codecs, signal } = options;
  const found = await hasBase(task, { site, link, codecs, log, held: place.held, bases: place.bases, signal, filters: [] });
  const figures = { task: task.id, samples: 1, steps: 0, trainLoss: 0, counts: {}, metrics: { base: found ? 1 : 0 } };
  await link.sendResult(task, figures, undefined);
}

/** Where the job describes a model, or leaves it to the sites, the trainer may have the one that the run begins with. */
function trainerBase(trainer: Trainer, job: Job, signal: AbortSignal): Base[] {
  const { offer } = trainer;
  if (!offer || (job.model !== 'offered' && 'path' in job.model)) return [];
  return [{ label: 'the trainer', stays: false, open: async () => (await offer.call(trainer, signal)).model }];
}

async function send(
  task: Task,
  figures: ResultFigures,
  message: StateDict | WriteResult | undefined,
  residuals: Residuals,
  options: ClientOptions,
): Promise<void> {
  const { link, log, signal } = options;
  try {
    // The same object: what coding counts is in it when it is sent.
    const sent = await link.sendResult(task, Object.assign(figures, { peakRssBytes: options.memory().peakRssBytes }), message);
    log.info({ round: task.round, trainLoss: figures.trainLoss, ...sent }, 'the server has the result');
  } catch (error) {
    if (message && !isLost(error, signal)) await residuals.drop(task.round);
    throw error;
  }
}

/** The trainer's own initial model, uncoded: it is what all sites begin with. */
async function offerAndSend(task: Task, trainer: Trainer, { link, log, signal, memory }: ClientOptions): Promise<void> {
  if (!trainer.offer)
    throw new FedStreamError(
      'unsupported',
      'the job begins with a model of a site’s own, and the trainer here has none; give the job a model',
    );
  const { model, files } = await trainer.offer(signal);
  try {
    const figures = { task: task.id, samples: 1, steps: 0, trainLoss: 0, counts: {}, files: { ...files } };
    const sent = await link.sendResult(task, { ...figures, peakRssBytes: memory().peakRssBytes }, model);
    log.info({ tensors: model.manifest.tensors.length, ...sent }, 'the server has the initial model');
  } finally {
    await model.close?.();
  }
}

/** Sends the steps of a task to the server in the background, in order, each once it is acknowledged. */
class StepReports implements ExecutionListener {
  readonly #task: Task;
  readonly #options: ClientOptions;
  readonly #waiting: StepReport[] = [];
  readonly #heartbeat: ReturnType<typeof setInterval>;
  #sending: Promise<void> = Promise.resolve();
  #failure: FedStreamError | undefined;
  #queued = false;
  #alive = false;

  constructor(task: Task, options: ClientOptions) {
    this.#task = task;
    this.#options = options;
    // Memory is worth a line even while no step ends.
    this.#heartbeat = setInterval(() => this.#send(), 2_000);
  }

  readonly onSign = (): void => {
    this.#alive = true;
  };

  readonly onStep = (report: StepReport): void => {
    if (!Number.isFinite(report.loss)) {
      throw new FedStreamError(
        'non-finite',
        `step ${report.step} of ${this.#options.site} has loss ${report.loss}; lower train.learningRate`,
      );
    }
    this.#waiting.push(report);
    if (!this.#queued) this.#send();
  };

  /** Resolves once the server has every step; rejects with what kept it from that. */
  async flush(): Promise<void> {
    this.#send();
    await this.#sending;
    if (this.#failure) throw this.#failure;
  }

  close(): void {
    clearInterval(this.#heartbeat);
  }

  #send(): void {
    this.#queued = true;
    this.#sending = this.#sending.then(async () => {
      this.#queued = false;
      do {
        const steps = this.#waiting.slice(0, STEPS_A_REPORT);
        const alive = this.#alive;
        this.#alive = false;
        await this.#options.link.progress({ task: this.#task.id, steps, memory: this.#options.memory(), alive });
        this.#waiting.splice(0, steps.length);
      } while (this.#waiting.length > 0);
    });
    this.#sending = this.#sending.catch((error: unknown) => {
      this.#failure = asFedStreamError(error);
    });
  }
}
