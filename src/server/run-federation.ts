// The federation that a run gives its workflow: durable asks, models on disk, commits in the
// journal.
import type { CodecTable } from '../codec/codec.js';
import { FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { memoryFolder } from '../core/memory-folder.js';
import { type Random, randomStream } from '../core/random.js';
import type { Table } from '../core/row.js';
import type { Folder } from '../core/storage.js';
import type { Filter } from '../filter/filter.js';
import { type Job, quorumOf, roundLimits, siteNames } from '../job/job.js';
import type { EmitEvent } from '../record/events.js';
import { bestRound, evaluatedOf } from '../record/selection.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Metrics } from '../trainer/trainer.js';
import type { Ask, Federation, GatherOptions, Offer, OfferOptions, Outcome, Reply } from '../workflow/federation.js';
import { Asks } from './asks.js';
import { roundName } from './global-models.js';
import { type JournalEntry, writeJournal } from './journal.js';
import { RunModels } from './model-store.js';
import { Offers } from './offers.js';
import type { TaskBoard } from './task-board.js';
import { Traffic } from './traffic.js';

const FOLDER = 'rounds';

/** Options of `RunFederation`. */
export interface RunFederationOptions {
  readonly job: Job;
  readonly run: Folder;
  /** The lines of the journal; grows with every commit. */
  readonly history: JournalEntry[];
  readonly codecs: CodecTable;
  readonly filters: Table<Filter>;
  readonly board: TaskBoard;
  readonly evaluate?: ((model: StateDict) => Promise<Metrics | undefined>) | undefined;
  readonly emit: EmitEvent;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** The federation of a run on the server. */
export class RunFederation implements Federation {
  readonly job: Job;
  readonly sites: readonly string[];
  readonly models: RunModels;
  readonly history: JournalEntry[];
  readonly codecs: CodecTable;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly evaluate: Federation['evaluate'];
  readonly asks: Asks;
  readonly offers: Offers;
  /** Bytes sent and received in the current round. */
  readonly traffic = new Traffic();
  readonly #options: RunFederationOptions;
  /** The folder for spools of the current round. */
  #folder: { readonly round: number; readonly folder: Folder } | undefined;
  #begun: { readonly round: number; readonly startedMs: number } | undefined;
  /**
   * Folders of other rounds are removed once in a process; that of the current round keeps its
   * files.
   */
  #cleaned = false;

  constructor(options: RunFederationOptions) {
    const { job, run, history, codecs, filters, board, log, signal, evaluate } = options;
    this.#options = options;
    this.job = job;
    this.sites = [...siteNames(job)].sort();
    this.history = history;
    this.codecs = codecs;
    this.log = log;
    this.signal = signal;
    this.evaluate = evaluate;
    this.models = new RunModels(run, history);
    const folder = (): Folder => this.#roundFolder();
    this.offers = new Offers({ job, run, codecs, filters, models: this.models, folder });
    this.asks = new Asks({ job, codecs, filters, board, offers: this.offers, run, folder });
  }

  get round(): number {
    return this.models.round;
  }

  // Arrow functions, since a workflow may destructure the federation.
  readonly random = (...labels: readonly (string | number)[]): Random => randomStream(this.job.seed, ...labels);

  readonly connected = (): readonly string[] => this.#options.board.connectedSites();

  readonly offer = async (options?: OfferOptions): Promise<Offer> => {
    await this.#clean();
    return this.offers.offer(options);
  };

  readonly ask = async (site: string, task: Ask): Promise<Reply> => {
    const [outcome] = (await this.gather(task, { sites: [site], quorum: 1 })) as [Outcome];
    if (outcome.status === 'done') return outcome.reply;
    throw new FedStreamError('quorum', `${site} ${outcome.reason}`);
  };

  readonly gather = async (task: Ask | ((site: string) => Ask), options: GatherOptions = {}): Promise<Outcome[]> => {
    const { job, signal } = this;
    const { sites = this.sites, quorum = quorumOf(job), silenceMs = job.stragglerMs } = options;
    const limits = roundLimits(job);
    // Without a quorum, grace would begin at once: such a wait has the job's own grace, or none.
    const { deadlineMs = limits.deadlineMs, graceMs = quorum > 0 ? limits.graceMs : job.graceMs } = options;
    await this.#clean();
    const asks = new Map([...sites].sort().map((site) => [site, typeof task === 'function' ? task(site) : task]));
    const waits = { quorum, silenceMs, deadlineMs, graceMs, aliveMs: limits.aliveMs, reconnectMs: job.idleMs, signal };
    const outcomes = await this.asks.gather(asks, this.round, waits);
    if (quorum > 0) for (const outcome of outcomes) this.#tell(outcome, asks.get(outcome.site) as Ask);
    return outcomes;
  };

  readonly commit = async ({ evaluation }: { readonly evaluation?: Metrics | undefined } = {}): Promise<void> => {
    const { round } = this;
    this.history.push({ ...(await this.models.entry()), ...(evaluation && { evaluation }) });
    await this.#keep(true);
    if (evaluation) this.emit({ type: 'evaluation', round, ...evaluation });
    await this.finish();
    this.#finished(round);
  };

  readonly note = async (round: number, evaluation: Metrics | undefined): Promise<void> => {
    const index = this.history.findIndex((step) => step.round === round);
    if (index < 0) throw new FedStreamError('bad-argument', `round ${round} is not committed; there are no figures to add to`);
    if (!evaluation) return;
    this.history[index] = { ...(this.history[index] as JournalEntry), evaluation };
    await this.#keep();
    this.emit({ type: 'evaluation', round, ...evaluation });
  };

  readonly emit: EmitEvent = (event) => {
    if (event.type === 'round-started') {
      this.#begun = { round: event.round, startedMs: performance.now() };
      this.traffic.reset();
    }
    this.#options.emit(event);
  };

  /** Closes open files; files on disk stay, so that a later process can continue. */
  async close(): Promise<void> {
    await this.asks.release();
    await this.offers.release();
    this.#folder = undefined;
  }

  /** Called when the workflow has ended: removes files that only a continued run would need. */
  async finish(): Promise<void> {
    await this.close();
    await this.#options.run.remove(FOLDER);
  }

  /**
   * Prunes models. The journal is written first, so that only models that no line needs are
   * removed.
   */
  async #keep(commits = false): Promise<void> {
    const { run } = this.#options;
    await writeJournal(run, this.history);
    if (commits) this.models.committed();
    const best = bestRound(evaluatedOf(this.history), this.job)?.round;
    await this.models.prune(best === undefined ? [] : [best], await this.offers.needs());
  }

  #finished(round: number): void {
    const begun = this.#begun;
    this.#begun = undefined;
    if (begun?.round !== round) return;
    const seconds = (performance.now() - begun.startedMs) / 1000;
    const { bytesDown, bytesUp } = this.traffic;
    this.emit({ type: 'round-finished', round, seconds, reduceSeconds: this.models.writeSeconds, bytesDown, bytesUp });
  }

  #tell(outcome: Outcome, { round = this.round }: Ask): void {
    if (outcome.status === 'done') return;
    const message = `round ${round} goes on without ${outcome.site}: ${outcome.reason}`;
    this.log.warn({ round, site: outcome.site }, message);
    this.emit({ type: 'warning', message });
  }

  #roundFolder(): Folder {
    const { round } = this;
    if (this.#folder?.round !== round) {
      const name = roundName(round);
      // Models of the sites' own (round 0) are never kept in memory, since only the disk bounds
      // their size.
      const inMemory = this.job.streaming === 'regular' && round > 0;
      const folder = inMemory ? memoryFolder(name) : this.#options.run.folder(`${FOLDER}/${name}`);
      this.#folder = { round, folder };
    }
    return this.#folder.folder;
  }

  /**
   * Removes folders of other rounds, left over from a process that was stopped between a commit and
   * its end.
   */
  async #clean(): Promise<void> {
    if (this.#cleaned) return;
    this.#cleaned = true;
    const { run } = this.#options;
    const own = roundName(this.round);
    for (const other of await run.list(FOLDER)) if (other !== own) await run.remove(`${FOLDER}/${other}`);
  }
}
