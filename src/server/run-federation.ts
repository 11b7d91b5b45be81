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
import type {
  Ask,
  CommitFigures,
  Federation,
  GatherOptions,
  Offer,
  OfferOptions,
  Outcome,
  Reply,
  SiteFigures,
} from '../workflow/federation.js';
import { type Sample, sampleOf } from '../workflow/sample.js';
import { Asks } from './asks.js';
import type { Broadcaster } from './broadcast.js';
import { roundName } from './global-models.js';
import { AsksInFlight } from './in-flight.js';
import { type JournalEntry, writeJournal } from './journal.js';
import { RunModels } from './model-store.js';
import { Offers } from './offers.js';
import type { FirstOptions, TaskBoard } from './task-board.js';
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
  /** Broadcasts in place of the job's own way. */
  readonly broadcaster?: Broadcaster | undefined;
  /** As `RunOptions.sitesHold`. */
  readonly sitesHold?: boolean | undefined;
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
  readonly inFlight: AsksInFlight;
  /** Bytes sent and received in the current round. */
  readonly traffic = new Traffic();
  readonly #options: RunFederationOptions;
  /** The folders for spools of the current round, and of earlier ones that sites are still at work on. */
  readonly #folders = new Map<number, Folder>();
  #begun: { readonly round: number; readonly startedMs: number } | undefined;
  /** The round whose sample the workflow has asked for. */
  #drawn: number | undefined;
  /** Set once a process has found what an earlier one has left. */
  #began: Promise<void> | undefined;

  constructor(options: RunFederationOptions) {
    const { job, run, history, codecs, filters, board, log, signal, evaluate, broadcaster, sitesHold } = options;
    this.#options = options;
    this.job = job;
    this.sites = [...siteNames(job)].sort();
    this.history = history;
    this.codecs = codecs;
    this.log = log;
    this.signal = signal;
    this.evaluate = evaluate;
    this.models = new RunModels(run, history);
    const folder = (): Folder => this.#folderOf(this.round);
    this.offers = new Offers({ job, run, codecs, filters, models: this.models, broadcaster, sitesHold, folder });
    this.asks = new Asks({ job, codecs, filters, board, offers: this.offers, run, folder });
    this.inFlight = new AsksInFlight({
      asks: this.asks,
      offers: this.offers,
      board,
      log,
      round: () => this.round,
      folder: (round) => this.#folderOf(round),
      waits: (options) => this.#waits(options),
      begin: () => this.#begin(),
    });
  }

  get round(): number {
    return this.models.round;
  }

  // Arrow functions, since a workflow may destructure the federation.
  readonly random = (...labels: readonly (string | number)[]): Random => randomStream(this.job.seed, ...labels);

  readonly sample = (): Sample => {
    const { round } = this;
    this.#drawn = round;
    return sampleOf(this.job, this.sites, this.random('sample', round));
  };

  readonly connected = (): readonly string[] => this.#options.board.connectedSites();

  readonly offer = async (options?: OfferOptions): Promise<Offer> => {
    await this.#begin();
    return this.offers.offer(options);
  };

  readonly ask = async (site: string, task: Ask): Promise<Reply> => {
    const [outcome] = (await this.gather(task, { sites: [site], quorum: 1 })) as [Outcome];
    if (outcome.status === 'done') return outcome.reply;
    throw new FedStreamError('quorum', `${site} ${outcome.reason}`);
  };

  readonly gather = async (task: Ask | ((site: string) => Ask), options: GatherOptions = {}): Promise<Outcome[]> => {
    const { job } = this;
    const { sites = this.sites, quorum = quorumOf(job) } = options;
    // Without a quorum, grace would begin at once: such a wait has the job's own grace, or none.
    const { graceMs = quorum > 0 ? roundLimits(job).graceMs : job.graceMs } = options;
    await this.#begin();
    this.inFlight.giveUp(sites);
    const asks = new Map([...sites].sort().map((site) => [site, typeof task === 'function' ? task(site) : task]));
    if (job.sample && this.#drawn !== this.round && [...asks.values()].some(({ kind }) => kind === 'train'))
      throw new FedStreamError(
        'bad-job',
        `sample: the workflow ${JSON.stringify(job.workflow.type)} asks sites of its own choice to train; leave sample out, or use another workflow`,
      );
    const outcomes = await this.asks.gather(asks, this.round, { ...this.#waits(options), quorum, graceMs });
    if (quorum > 0) for (const outcome of outcomes) this.#tell(outcome, asks.get(outcome.site) as Ask);
    return outcomes;
  };

  readonly commit = async ({ evaluation, withoutModel = false }: CommitFigures = {}): Promise<void> => {
    const { round } = this;
    this.history.push({ ...(await this.models.entry(withoutModel)), ...(evaluation && { evaluation }), ...this.inFlight.entry() });
    const { asks, offers, rounds } = this.inFlight.kept;
    this.offers.keep(offers);
    await this.#keep(true);
    this.inFlight.committed();
    if (evaluation) this.emit({ type: 'evaluation', round, ...evaluation });
    await this.asks.release(asks);
    await this.offers.release(offers);
    await this.#removeFolders(rounds);
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

  readonly noteSites = async (round: number, figures: readonly SiteFigures[]): Promise<void> => {
    const index = this.history.findIndex((step) => step.round === round);
    if (index < 0) throw new FedStreamError('bad-argument', `round ${round} is not committed; there are no figures to add to`);
    const bySite = figures.map((one) => ({ ...one }));
    // Told first: told twice after a crash is better than not at all.
    for (const { site, round: of, trained, evaluation, reason } of bySite)
      this.emit({
        type: 'site-evaluation',
        site,
        round: of,
        ...(trained !== undefined && { trained }),
        ...evaluation,
        ...(reason !== undefined && { reason }),
      });
    this.history[index] = { ...(this.history[index] as JournalEntry), bySite };
    await this.#keep();
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
    this.#folders.clear();
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

  #waits({ silenceMs = this.job.stragglerMs, deadlineMs, aliveMs }: GatherOptions = {}): FirstOptions {
    const { job, signal } = this;
    const limits = roundLimits(job);
    return { silenceMs, deadlineMs: deadlineMs ?? limits.deadlineMs, aliveMs: aliveMs ?? limits.aliveMs, reconnectMs: job.idleMs, signal };
  }

  #folderOf(round: number): Folder {
    const name = roundName(round);
    // Models of the sites' own (round 0) are never kept in memory, since only the disk bounds their
    // size.
    const inMemory = this.job.streaming === 'regular' && round > 0;
    const folder = this.#folders.get(round) ?? (inMemory ? memoryFolder(name) : this.#options.run.folder(`${FOLDER}/${name}`));
    this.#folders.set(round, folder);
    return folder;
  }

  /** Removes the folders of all rounds but those. */
  async #removeFolders(kept: ReadonlySet<number>): Promise<void> {
    const { run } = this.#options;
    for (const round of [...this.#folders.keys()]) if (!kept.has(round)) this.#folders.delete(round);
    const names = new Set([...kept].map(roundName));
    if (names.size === 0) await run.remove(FOLDER);
    else for (const other of await run.list(FOLDER)) if (!names.has(other)) await run.remove(`${FOLDER}/${other}`);
  }

  /**
   * Removes folders of other rounds, left over from a process that was stopped between a commit and
   * its end, and takes in the asks that were in flight. Once in a process.
   */
  #begin(): Promise<void> {
    this.#began ??= this.#takeOver();
    return this.#began;
  }

  async #takeOver(): Promise<void> {
    const { run } = this.#options;
    const left = this.history.at(-1)?.inFlight ?? [];
    const kept = new Set([this.round, ...left.map(({ round }) => round)].map(roundName));
    for (const other of await run.list(FOLDER)) if (!kept.has(other)) await run.remove(`${FOLDER}/${other}`);
    await this.inFlight.restore(left);
  }
}
