// A site: joins the server, asks for tasks, runs them, sends results, until it is told to stop.

import type { CodecTable } from '../codec/codec.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Folder } from '../core/storage.js';
import { feedsBack, filterChain, filterPlan, splitAtLoss } from '../filter/chain.js';
import type { StepReport, Trainer } from '../trainer/trainer.js';
import { type Execution, type ExecutionListener, execute } from '../workflow/executor.js';
import type { Task } from '../workflow/task.js';
import { HeldModels } from './held-models.js';
import type { Job } from './job.js';
import { isLost } from './lost.js';
import { type Memory, STEPS_A_REPORT } from './protocol.js';
import type { Joined, ServerLink } from './server-link.js';
import { receiveTaskModel } from './task-model.js';

export interface ClientOptions {
  readonly site: string;
  readonly link: ServerLink;
  readonly codecs: CodecTable;
  readonly log: Logger;
  /** The site's own folder: what it holds of the global model stays there from round to round. */
  readonly folder: Folder;
  readonly signal: AbortSignal;
  memory(): Memory;
  /** The site's own trainer for a job: the server sends data, never code. */
  makeTrainer(joined: Joined): Promise<Trainer>;
}

/** Runs until the server says stop; returns its reason. Rejects with `aborted`, `refused`, or whatever keeps the site from working. */
export async function runClient(options: ClientOptions): Promise<string> {
  const { link, log, site } = options;
  const joined = await link.join();
  log.info({ site, rounds: joined.job.rounds }, 'joined the job');
  const trainer = await options.makeTrainer(joined);
  try {
    for (;;) {
      const next = await link.next();
      if ('stop' in next) return next.stop;
      await runTask(next.task, joined.job, trainer, options);
    }
  } finally {
    await trainer.close();
  }
}

/** A task that fails here is told to the server, which decides what becomes of the round. */
async function runTask(task: Task, job: Job, trainer: Trainer, options: ClientOptions): Promise<void> {
  const { link, log, signal } = options;
  const reports = new StepReports(task, options);
  try {
    if (task.kind === 'offer') await offerAndSend(task, trainer, options);
    else await trainAndSend(task, job, trainer, options, reports);
  } catch (error) {
    const failure = asFedStreamError(error);
    if (isLost(failure, signal)) throw failure;
    log.error({ task: task.id, code: failure.code }, failure.message);
    await link.fail(task.id, failure.code, failure.message);
  } finally {
    reports.close();
  }
}

async function trainAndSend(task: Task, job: Job, trainer: Trainer, options: ClientOptions, reports: StepReports): Promise<void> {
  const { link, log, site, codecs, signal } = options;
  const kept = await link.sendKept(task);
  if (kept) {
    log.info({ round: task.round, ...kept }, 'the server has the result');
    return;
  }
  const received = await receiveTaskModel(task, job, options);
  const residuals = new HeldModels(options.folder.folder('residual'));
  const residual = feedsBack(job) ? await residuals.open(task.round - 1) : undefined;
  try {
    const { beforeLoss, lossy } = splitAtLoss(filterPlan(job)['result-out']);
    const executor = { site, trainer, codecs, beforeLoss: filterChain(beforeLoss), lossy: filterChain(lossy), residual };
    const execution = await execute(task, received.model, executor, signal, reports);
    await reports.flush();
    // Before the result can reach the server: a process that is started again after it was sent has no other way to it.
    if (feedsBack(job) && execution.residual) await (await residuals.keep(task.round, execution.residual)).close?.();
    await send(task, execution, residuals, options);
    await execution.close?.();
  } finally {
    await residual?.close?.();
    await received.release();
  }
}

async function send(task: Task, { figures, model }: Execution, residuals: HeldModels, options: ClientOptions): Promise<void> {
  const { link, log, signal } = options;
  try {
    const sent = await link.sendResult(task, { ...figures, peakRssBytes: options.memory().peakRssBytes }, model);
    log.info({ round: task.round, trainLoss: figures.trainLoss, ...sent }, 'the server has the result');
  } catch (error) {
    if (!isLost(error, signal)) await residuals.drop(task.round); // what a refused result lost is nobody's loss
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
