// One run on the server: its folder, its sites' tasks, and its workflow. Listeners and sessions
// belong to the hub.
import type { CodecTable } from '../codec/codec.js';
import type { Logger } from '../core/log.js';
import type { Table } from '../core/row.js';
import type { Folder } from '../core/storage.js';
import { meanMetricsSchema } from '../exchange/task.js';
import { builtInFiltersWith } from '../filter/built-in.js';
import type { Filter } from '../filter/filter.js';
import { type Job, quorumOf, roundLimits, sampleQuorum, siteNames } from '../job/job.js';
import type { EmitEvent } from '../record/events.js';
import { runIdOf } from '../record/run-id.js';
import { bestRound, evaluatedOf } from '../record/selection.js';
import type { Fingerprints } from '../trainer/fingerprints.js';
import type { Metrics, Trainer } from '../trainer/trainer.js';
import type { Workflow } from '../workflow/federation.js';
import type { Broadcaster } from './broadcast.js';
import { readJournal } from './journal.js';
import { RunFederation } from './run-federation.js';
import { SiteBudget } from './site-budget.js';
import { SiteComparison } from './site-comparison.js';
import { TaskBoard } from './task-board.js';

/** Options of a run on the server. */
export interface RunOptions {
  readonly job: Job;
  readonly run: Folder;
  readonly codecs: CodecTable;
  /** The filters that the job may name; by default the built-in ones, with these codecs. */
  readonly filters?: Table<Filter> | undefined;
  readonly workflow: Workflow;
  /**
   * Evaluates the global model on the server's own held-out data. Without it, the sites evaluate on
   * theirs.
   */
  readonly evaluator?: Trainer | undefined;
  /**
   * True where sites are to keep every model that is sent to them, and know it by its digest, in
   * codings that lose nothing too; by default they keep what updates lead to.
   */
  readonly sitesHold?: boolean | undefined;
  /** Fingerprints of the model folder that the run begins with; the sites' own are compared with them. */
  readonly fingerprints?: Fingerprints | undefined;
  /** False where the workflow itself waits for the sites (`waitForSites`), when it has a use for them. */
  readonly waits?: boolean | undefined;
  /** Broadcasts in place of the job's own way: for a run that passes on what another server sends. */
  readonly broadcaster?: Broadcaster | undefined;
  /**
   * Called before the first training with what the sites have told, all alike; they train once it
   * has resolved. An error ends the run.
   */
  onAgreed?(fingerprints: Fingerprints): Promise<void>;
  readonly emit: EmitEvent;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** How a run ended: its last round, its best one, and the reason in words for people. */
export interface RunResult {
  readonly lastRound: number;
  /** The round of the best model; the last round where nothing was evaluated. */
  readonly bestRound: number;
  readonly reason: string;
}

/** Interval of the log line of a server that waits for sites. */
const WAITING_LOG_MS = 10_000;
const WAITING_MS = 50;

/** A run: opened from its folder, then steered to its end. */
export class Run {
  /** The unique name of the run; models that sites hold are bound to it. */
  readonly name: string;
  readonly board: TaskBoard;
  readonly federation: RunFederation;
  /** What the sites tell of their training. */
  readonly comparison: SiteComparison;
  readonly #options: RunOptions;
  readonly #budgets = new Map<string, SiteBudget>();

  private constructor(options: RunOptions, name: string, board: TaskBoard, federation: RunFederation) {
    this.#options = options;
    this.name = name;
    this.board = board;
    this.federation = federation;
    const { run, job, fingerprints: own = {}, emit, log } = options;
    const warn = (message: string): void => {
      log.warn({}, message);
      emit({ type: 'warning', message });
    };
    const refused = (site: string, message: string): void => {
      this.budgetOf(site).log.error({ site }, message);
      board.fail(site, message);
    };
    const { graceMs } = roundLimits(job);
    const rules = job.differences ?? {};
    const quorum = job.sample ? sampleQuorum(job, job.sample.sites) : quorumOf(job);
    const agreed = options.onAgreed?.bind(options);
    this.comparison = new SiteComparison({ run, board, rules, quorum, graceMs, own, lora: job.lora, warn, refused, agreed });
  }

  /** Opens a run from its folder: a new one, or one that was stopped. */
  static async open(options: RunOptions): Promise<Run> {
    const { job, run, codecs, filters = builtInFiltersWith(codecs), evaluator, broadcaster, sitesHold, emit, log, signal } = options;
    const board = new TaskBoard(siteNames(job));
    const history = await readJournal(run);
    const evaluate =
      evaluator && (async (model: Parameters<Trainer['evaluate']>[0]) => usable(await evaluator.evaluate(model, signal), emit, log));
    const federation = new RunFederation({
      job,
      run,
      history,
      codecs,
      filters,
      board,
      evaluate,
      broadcaster,
      sitesHold,
      emit,
      log,
      signal,
    });
    return new Run(options, await runIdOf(run), board, federation);
  }

  /** The budget of a site, the same for all of its sessions. */
  budgetOf(site: string): SiteBudget {
    const { job, emit, log } = this.#options;
    const budget = this.#budgets.get(site) ?? new SiteBudget({ site, job, emit, log });
    this.#budgets.set(site, budget);
    return budget;
  }

  /**
   * Waits for the sites, then runs the workflow to its end. Finished rounds are on disk even when
   * it throws (`quorum`, `aborted`, `io`, …).
   */
  async steer(): Promise<RunResult> {
    const { job, workflow } = this.#options;
    const { federation } = this;
    if (this.#options.waits !== false) await this.waitForSites();
    let reason: string;
    try {
      reason = await workflow(federation);
      await federation.finish();
    } catch (error) {
      await federation.close();
      throw error;
    }
    const lastRound = federation.history.at(-1)?.round ?? 0;
    return { lastRound, bestRound: bestRound(evaluatedOf(federation.history), job)?.round ?? lastRound, reason };
  }

  /**
   * Waits until all sites are connected, or a quorum is and no further site has connected for the
   * job's `stragglerMs`.
   */
  async waitForSites(signal: AbortSignal = this.#options.signal): Promise<void> {
    const { job, log } = this.#options;
    const sites = siteNames(job);
    let changedMs = performance.now();
    let toldMs = Number.NEGATIVE_INFINITY;
    // A site that connects again and again must not hold the others: only its first time counts.
    const seen = new Set<string>();
    for (;;) {
      signal.throwIfAborted();
      const connected = this.board.connectedSites();
      if (connected.length === sites.length) return;
      const nowMs = performance.now();
      const before = seen.size;
      for (const site of connected) seen.add(site);
      if (seen.size !== before) changedMs = nowMs;
      if (connected.length >= quorumOf(job) && nowMs - changedMs > job.stragglerMs) return;
      if (nowMs - toldMs > WAITING_LOG_MS) {
        const missing = sites.filter((site) => !connected.includes(site));
        log.info({ connected, missing }, `waiting for ${missing.length} of ${sites.length} sites: ${missing.join(', ')}`);
        toldMs = nowMs;
      }
      await new Promise((resolve) => setTimeout(resolve, WAITING_MS));
    }
  }
}

/** Figures of a model that diverged may be no numbers: the run goes on without them, and says so. */
function usable(metrics: Metrics | undefined, emit: EmitEvent, log: Logger): Metrics | undefined {
  if (metrics === undefined || meanMetricsSchema.safeParse(metrics).success) return metrics;
  const message = `the evaluation is left out: its loss is ${metrics.loss}; training has diverged, lower train.learningRate`;
  log.warn({ loss: String(metrics.loss) }, message);
  emit({ type: 'warning', message });
  return undefined;
}
