// What a site keeps from task to task, and the ways between a task and its server: models and extras in, an answer out.
import type { CodecTable } from '../codec/codec.js';
import type { Logger } from '../core/log.js';
import type { Table } from '../core/row.js';
import type { Folder } from '../core/storage.js';
import { decodedExtras } from '../exchange/extras-coding.js';
import type { Memory } from '../exchange/protocol.js';
import type { ResultFigures, Task } from '../exchange/task.js';
import { builtInFiltersWith } from '../filter/built-in.js';
import { ownFilters } from '../filter/chain.js';
import type { Filter } from '../filter/filter.js';
import type { Job } from '../job/job.js';
import { type NamedDicts, splitDicts } from '../tensor/named-dicts.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Trainer } from '../trainer/trainer.js';
import type { Base } from './find-base.js';
import { isLost } from './lost.js';
import { Residuals } from './residuals.js';
import type { Joined, ServerLink, WriteResult } from './server-link.js';
import { SiteHeld } from './site-held.js';
import { type GivenModel, receiveTaskModel, type TaskModelOptions } from './task-model.js';

export interface WorkplaceOptions {
  readonly site: string;
  readonly link: ServerLink;
  readonly codecs: CodecTable;
  /** What the job may name; by default those that come with FedStream, with these codecs. */
  readonly filters?: Table<Filter> | undefined;
  readonly log: Logger;
  /** The site's own folder: what it holds of the global model stays there from round to round. */
  readonly folder: Folder;
  readonly signal: AbortSignal;
  memory(): Memory;
  /** Models that the site has already: where a run begins with one of them, it does not travel. */
  readonly bases?: readonly Base[] | undefined;
}

/** Extras of a task, to be read as often as needed until they are released. */
export interface GivenExtras {
  /** float32, decoded as they are read; empty where the task has none. */
  readonly extras: NamedDicts;
  release(): Promise<void>;
}

export class Workplace {
  readonly site: string;
  readonly job: Job;
  readonly trainer: Trainer;
  readonly residuals: Residuals;
  /** Of the site's owner. */
  readonly siteFilters: readonly Filter[];
  readonly codecs: CodecTable;
  readonly filters: Table<Filter>;
  readonly link: ServerLink;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly #options: WorkplaceOptions;
  readonly #held: SiteHeld;
  readonly #bases: readonly Base[];

  constructor({ job, run }: Joined, trainer: Trainer, siteFilters: readonly Filter[], options: WorkplaceOptions) {
    const { site, link, log, folder, codecs, signal, bases = [] } = options;
    this.#options = options;
    this.site = site;
    this.link = link;
    this.log = log;
    this.signal = signal;
    this.codecs = codecs;
    this.filters = options.filters ?? builtInFiltersWith(codecs);
    this.job = job;
    this.trainer = trainer;
    this.siteFilters = siteFilters;
    this.#bases = [...bases, ...trainerBase(trainer, job, signal)];
    this.#held = new SiteHeld({ folder: folder.folder('held'), run, bases: this.#bases, codecs });
    this.residuals = new Residuals(folder.folder('residual'), run, codecs);
  }

  /** The model of a task, by the shortest way that there is. */
  model(task: Task): Promise<GivenModel> {
    return receiveTaskModel(task, this.finding());
  }

  /** What looking for a task's model needs. */
  finding(): TaskModelOptions {
    const { site, link, codecs, log, signal, job } = this;
    return {
      site,
      link,
      codecs,
      log,
      held: this.#held,
      bases: this.#bases,
      signal,
      filters: ownFilters(job, 'task-in', this.filters),
    };
  }

  async extras(task: Task): Promise<GivenExtras> {
    if (!task.extras) return { extras: {}, release: async () => {} };
    const { model, figures, release } = await this.link.fetchExtras(task.extras.object);
    this.log.info({ round: task.round, object: task.extras.object, ...figures }, 'received what comes with the task');
    const { job, codecs, filters, site } = this;
    const setting = { job, codecs, filters, site, round: task.round };
    return { extras: await decodedExtras(splitDicts(model), 'task-in', setting), release };
  }

  /** Sends an answer; resolves once the server has it safe. Coding counts into `figures` while the message is sent. */
  async answer(task: Task, figures: ResultFigures, message?: StateDict | WriteResult): Promise<void> {
    try {
      const sent = await this.link.sendResult(task, Object.assign(figures, { peakRssBytes: this.#options.memory().peakRssBytes }), message);
      this.log.info({ round: task.round, task: task.id, trainLoss: figures.trainLoss, ...sent }, 'the server has the result');
    } catch (error) {
      if (message && !isLost(error, this.signal)) await this.residuals.drop(task.round);
      throw error;
    }
  }
}

/** Where the job describes a model, or leaves it to the sites, the trainer may have the one that the run begins with. */
function trainerBase(trainer: Trainer, job: Job, signal: AbortSignal): Base[] {
  const { offer } = trainer;
  if (!offer || (job.model !== 'offered' && 'path' in job.model)) return [];
  return [{ label: 'the trainer', stays: false, open: async () => (await offer.call(trainer, signal)).model }];
}
