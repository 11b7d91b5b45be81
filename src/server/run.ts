// One run on the server: its folder, its sites' tasks, and the workflow that steers it. Listeners and sessions are the hub's.
import type { CodecTable } from '../codec/codec.js';
import type { Logger } from '../core/log.js';
import type { Table } from '../core/row.js';
import type { Folder } from '../core/storage.js';
import { builtInFiltersWith } from '../filter/built-in.js';
import type { Filter } from '../filter/filter.js';
import { type Job, quorumOf, siteNames } from '../job/job.js';
import type { EmitEvent } from '../record/events.js';
import { runIdOf } from '../record/run-id.js';
import { bestRound } from '../record/selection.js';
import type { Trainer } from '../trainer/trainer.js';
import type { Workflow } from '../workflow/federation.js';
import { readJournal } from './journal.js';
import { RunFederation } from './run-federation.js';
import { TaskBoard } from './task-board.js';

export interface RunOptions {
  readonly job: Job;
  readonly run: Folder;
  readonly codecs: CodecTable;
  /** By default those of the kit that comes with FedStream, with these codecs. */
  readonly filters?: Table<Filter> | undefined;
  readonly workflow: Workflow;
  /** Evaluates the global model on the server's own held-out data; without it the sites do, on theirs. */
  readonly evaluator?: Trainer | undefined;
  readonly emit: EmitEvent;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface RunResult {
  readonly lastRound: number;
  /** The round of the best model; the last one where nothing was evaluated. */
  readonly bestRound: number;
  readonly reason: string;
}

/** How often a server that waits for sites says so. */
const WAITING_LOG_MS = 10_000;
const WAITING_MS = 50;

export class Run {
  /** No other run has it: what sites hold is bound to it. */
  readonly name: string;
  readonly board: TaskBoard;
  readonly federation: RunFederation;
  readonly #options: RunOptions;

  private constructor(options: RunOptions, name: string, board: TaskBoard, federation: RunFederation) {
    this.#options = options;
    this.name = name;
    this.board = board;
    this.federation = federation;
  }

  /** Reads what the folder has of the run: a new one, or one that was stopped. */
  static async open(options: RunOptions): Promise<Run> {
    const { job, run, codecs, filters = builtInFiltersWith(codecs), evaluator, emit, log, signal } = options;
    const board = new TaskBoard(siteNames(job));
    const history = await readJournal(run);
    const evaluate = evaluator && ((model: Parameters<Trainer['evaluate']>[0]) => evaluator.evaluate(model, signal));
    const federation = new RunFederation({ job, run, history, codecs, filters, board, evaluate, emit, log, signal });
    return new Run(options, await runIdOf(run), board, federation);
  }

  /** Waits for the sites, then runs the workflow to its end. What was finished is on disk whenever it throws: `quorum`, `aborted`, `io`, … */
  async steer(): Promise<RunResult> {
    const { job, workflow } = this.#options;
    const { federation } = this;
    await this.#waitForSites();
    let reason: string;
    try {
      reason = await workflow(federation);
      await federation.finish();
    } catch (error) {
      await federation.close();
      throw error;
    }
    const evaluated = federation.history.flatMap(({ round, evaluation }) => (evaluation ? [{ round, metrics: evaluation }] : []));
    const lastRound = federation.history.at(-1)?.round ?? 0;
    return { lastRound, bestRound: bestRound(evaluated, job)?.round ?? lastRound, reason };
  }

  /** All sites, or a quorum when no further one has come for the straggler's time. */
  async #waitForSites(): Promise<void> {
    const { job, log, signal } = this.#options;
    const sites = siteNames(job);
    let changedMs = performance.now();
    let toldMs = Number.NEGATIVE_INFINITY;
    let before = 0;
    for (;;) {
      signal.throwIfAborted();
      const connected = this.board.connectedSites();
      if (connected.length === sites.length) return;
      const nowMs = performance.now();
      if (connected.length !== before) changedMs = nowMs;
      before = connected.length;
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
