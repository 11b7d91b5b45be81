// The state that a site keeps from task to task, and the transfers of a task: models and extras in,
// an answer out.

import type { CodecTable } from '../codec/codec.js';
import type { Logger } from '../core/log.js';
import type { Table } from '../core/row.js';
import type { Folder } from '../core/storage.js';
import { decodedExtras } from '../exchange/extras-coding.js';
import type { Memory } from '../exchange/protocol.js';
import type { ResultFigures, Task } from '../exchange/task.js';
import { builtInFiltersWith } from '../filter/built-in.js';
import { frozenIn, ownFilters } from '../filter/chain.js';
import type { Filter } from '../filter/filter.js';
import type { Job } from '../job/job.js';
import { type NamedDicts, splitDicts } from '../tensor/named-dicts.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Trainer } from '../trainer/trainer.js';
import { checkAbilities } from './abilities.js';
import { PARTS_FOLDER } from './fetched-spools.js';
import type { Base } from './find-base.js';
import { LocalTensors } from './local-tensors.js';
import { ModelBounds } from './model-bounds.js';
import type { Enforced } from './policy.js';
import { Repeats } from './repeats.js';
import { Residuals } from './residuals.js';
import { folderOfRun } from './run-place.js';
import { checkSentFigures } from './sent-figures.js';
import { checkedFingerprints } from './sent-fingerprints.js';
import type { Joined, ServerLink, WriteResult } from './server-link.js';
import { SharedMetrics } from './share.js';
import { SiteHeld } from './site-held.js';
import { SiteParts } from './site-parts.js';
import { type GivenModel, receiveTaskModel, type TaskModelOptions } from './task-model.js';
import { isTransient } from './transient-errors.js';

/** Options of a site's work: its link, folder, codecs, and models that it already has. */
export interface WorkplaceOptions {
  readonly site: string;
  readonly link: ServerLink;
  readonly codecs: CodecTable;
  /** The filters that the job may name; by default the built-in ones, with these codecs. */
  readonly filters?: Table<Filter> | undefined;
  readonly log: Logger;
  /**
   * The site's own folder. All that it keeps of a run lies in that run's folder (`folderOfRun`): the
   * global model from round to round, residuals, counts.
   */
  readonly folder: Folder;
  readonly signal: AbortSignal;
  memory(): Memory;
  /** Models that the site already has: a run that begins with one of them need not send it. */
  readonly bases?: readonly Base[] | undefined;
}

/** Extras of a task; they can be read as often as needed until they are released. */
export interface GivenExtras {
  /** float32, decoded while they are read; empty where the task has none. */
  readonly extras: NamedDicts;
  /** The digest of the object that carried them; undefined without any. */
  readonly content?: string;
  release(): Promise<void>;
}

/** The site's side of a run, as task handlers see it. */
export class Workplace {
  readonly site: string;
  readonly job: Job;
  /** The unique name of the run. */
  readonly run: string;
  /** Texts of the model folder, as the server gave them. */
  readonly files: Joined['files'];
  /** The site's folder of this run. */
  readonly folder: Folder;
  readonly trainer: Trainer;
  readonly residuals: Residuals;
  /** Tensors that are trained here and not sent. */
  readonly local: LocalTensors;
  /** Whatever is of a model that is exchanged in parts. */
  readonly parts: SiteParts;
  /** The rules of the site's owner. */
  readonly enforced: Enforced;
  readonly repeats: Repeats;
  readonly metrics: SharedMetrics;
  readonly codecs: CodecTable;
  readonly filters: Table<Filter>;
  readonly link: ServerLink;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly #options: WorkplaceOptions;
  readonly #held: SiteHeld;
  readonly #bases: readonly Base[];
  readonly #bounds: ModelBounds;
  #told = false;

  constructor({ job, run, files }: Joined, trainer: Trainer, enforced: Enforced, options: WorkplaceOptions) {
    const { site, link, log, codecs, signal, bases = [] } = options;
    const folder = folderOfRun(options.folder, run);
    this.#options = options;
    this.site = site;
    this.link = link;
    this.log = log;
    this.signal = signal;
    this.codecs = codecs;
    this.filters = options.filters ?? builtInFiltersWith(codecs);
    this.job = job;
    this.run = run;
    this.files = files;
    this.folder = folder;
    this.trainer = trainer;
    this.#bounds = new ModelBounds(codecs, job.trainer ? undefined : files['config.json'], job.lora);
    this.enforced = enforced;
    this.repeats = new Repeats(folder, run, enforced.limits.mostRepeats);
    this.metrics = new SharedMetrics(enforced.share, log);
    this.#bases = [...bases, ...trainerBase(trainer, job, signal)];
    this.#held = new SiteHeld({ folder: folder.folder('held'), run, bases: this.#bases, codecs });
    this.local = new LocalTensors(folder.folder('local'), run, codecs);
    this.residuals = new Residuals(folder.folder('residual'), run);
    const config = job.trainer ? undefined : files['config.json'];
    this.parts = new SiteParts({ folder: folder.folder(PARTS_FOLDER), run, trainer, config, finding: () => this.finding() });
  }

  /**
   * Tells the server what the training here rests on, before the first training and after each that
   * failed, since a program may have been started anew. Resolves once the server lets it begin.
   */
  async tellAbout(task: Task, onProgress: () => void): Promise<void> {
    if (this.#told) return;
    const { round, rounds } = task;
    const { fingerprints: shared = true } = this.enforced.share;
    const told = shared ? await this.trainer.fingerprints?.(this.signal, { round, rounds, onProgress }) : undefined;
    await this.link.about(task.id, checkedFingerprints(told ?? {}));
    this.#told = true;
  }

  /**
   * Refuses a task that needs what the trainer does not know, and, once its extras are here, extras
   * that it does not know. A program is asked once it runs.
   */
  async checkAbilities(task: Task, onProgress: () => void, extras: NamedDicts = {}): Promise<void> {
    const { round, rounds, needs } = task;
    const names = Object.keys(extras);
    if (!needs && names.length === 0) return;
    checkAbilities(task, names, await this.trainer.knows?.(this.signal, { round, rounds, onProgress }), this.job);
  }

  /** Called after a task that failed. */
  failed(): void {
    this.#told = false;
  }

  /** Fetches or finds the model of a task, with the fewest bytes possible. */
  model(task: Task): Promise<GivenModel> {
    return receiveTaskModel(task, { ...this.finding(), local: this.local });
  }

  /** The model of a task that brings it in parts. */
  async wholeOfParts(task: Task): Promise<GivenModel> {
    const { given, held, content } = await this.parts.whole(task);
    return { given, held, content, hasLocal: false, release: async () => given.close?.() };
  }

  /** The options for finding a task's model. */
  finding(): TaskModelOptions {
    const { site, link, codecs, log, signal, job } = this;
    return {
      site,
      link,
      codecs,
      log,
      held: this.#held,
      bases: this.#bases,
      bounds: this.#bounds,
      signal,
      filters: ownFilters(job, 'task-in', this.filters),
      isFrozen: frozenIn(job),
    };
  }

  async extras(task: Task): Promise<GivenExtras> {
    if (!task.extras) return { extras: {}, release: async () => {} };
    const { model, figures, release } = await this.link.fetchExtras(task.extras.object, this.#bounds.extras(task.extras.bytes));
    this.log.info({ round: task.round, object: task.extras.object, ...figures }, 'received the extras of the task');
    const { job, codecs, filters, site } = this;
    const setting = { job, codecs, filters, site, round: task.round };
    return { extras: await decodedExtras(splitDicts(model), 'task-in', setting), content: figures.digest, release };
  }

  /**
   * Sends an answer; resolves once the server has stored it safely. Counts from coding are added to
   * `figures` while the message is sent.
   */
  async answer(task: Task, figures: ResultFigures, message?: StateDict | WriteResult, said = 'the server has the result'): Promise<void> {
    const residuals = task.kind === 'trainPart' && task.parts ? this.parts.residuals(task.parts.part) : this.residuals;
    checkSentFigures(figures, this.site, this.log);
    try {
      const sent = await this.link.sendResult(task, Object.assign(figures, { peakRssBytes: this.#options.memory().peakRssBytes }), message);
      this.log.info({ round: task.round, task: task.id, trainLoss: figures.trainLoss, ...sent }, said);
    } catch (error) {
      if (message && !isTransient(error, this.signal)) {
        await residuals.drop(task.round);
        await this.trainer.forget?.(task.round);
      }
      throw error;
    }
  }
}

/**
 * The trainer's own initial model as a base, where the job describes a model or leaves it to the
 * sites.
 */
function trainerBase(trainer: Trainer, job: Job, signal: AbortSignal): Base[] {
  const { offer } = trainer;
  if (!offer || (job.model !== 'offered' && 'path' in job.model)) return [];
  return [{ label: 'the trainer', stays: false, open: async () => (await offer.call(trainer, signal)).model }];
}
