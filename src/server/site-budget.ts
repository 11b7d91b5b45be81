// The budget of one site in a run: what of its reports is recorded and logged, and what counts as an
// advance of its work. It outlives the site's sessions, so a reconnect begins nothing anew.
import { Bucket } from '../core/bucket.js';
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import { limitedLogger } from '../core/limited-log.js';
import type { Logger } from '../core/log.js';
import type { Task } from '../exchange/task.js';
import type { Job } from '../job/job.js';
import type { EmitEvent } from '../record/events.js';

/** Options of `SiteBudget`. */
export interface SiteBudgetOptions {
  readonly site: string;
  readonly job: Job;
  readonly emit: EmitEvent;
  readonly log: Logger;
  readonly now?: () => number;
}

/** A burst is so many seconds of its rate. */
const BURST_SECONDS = 10;
/** Steps that a task may always report, however few the job asks for. */
const LEAST_STEPS = 10_000;

/** Warnings about faults, at once and an hour; the log has the others. */
const FAULTS = 10;

/** The use of the budgets of the site's present task, which only the server can end. */
interface Use {
  readonly task: string;
  readonly beganMs: number;
  steps: number;
  transfers: number;
  leftOut: number;
  /** The furthest offset of each object that has moved, in bytes. */
  readonly reached: Map<string, number>;
}

/** What is left to a site of its budgets. */
export class SiteBudget {
  /** Log lines about the site, so many a minute. */
  readonly log: Logger;
  readonly #options: SiteBudgetOptions;
  readonly #now: () => number;
  readonly #reports: Bucket;
  readonly #memory: Bucket;
  readonly #faults: Bucket;
  #waiting = 0;
  #use: Use | undefined;
  /** The last step of the present session. */
  #lastStep = 0;

  constructor(options: SiteBudgetOptions) {
    const { site, log, now = () => performance.now() } = options;
    this.#options = options;
    this.#now = now;
    this.log = limitedLogger(log, { linesAMinute: BUDGETS.logLines.limit, of: site, now });
    this.#reports = new Bucket({ burst: BURST_SECONDS * BUDGETS.reportRate.limit, aSecond: BUDGETS.reportRate.limit }, now);
    this.#memory = new Bucket({ burst: BUDGETS.memoryLines.limit, aSecond: BUDGETS.memoryLines.limit / 60 }, now);
    this.#faults = new Bucket({ burst: FAULTS, aSecond: FAULTS / 3600 }, now);
  }

  /** Called for each new session: a site that begins its task again repeats its steps. */
  connected(): void {
    this.#lastStep = 0;
  }

  /**
   * Called for each report; resolves when it may be taken. Rejects with `limit` where too many are
   * waiting already: the site does not wait for its answers.
   */
  async report(): Promise<void> {
    const waitMs = this.#reports.borrow();
    if (waitMs <= 0) return;
    if (this.#waiting >= BUDGETS.reportsWaiting.limit)
      throw this.#tooMuch(
        `${this.#waiting} progress reports wait for their answers, and more than ${BUDGETS.reportRate.limit} come in a second`,
      );
    this.#waiting++;
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    this.#waiting--;
  }

  /**
   * The steps of a report that are recorded, and whether any of them shows an advance. Throws
   * `limit` where far too many were left out.
   */
  steps<Step extends { readonly step: number }>(
    task: Task,
    steps: readonly Step[],
  ): { readonly recorded: readonly Step[]; readonly advances: boolean } {
    const use = this.#useOf(task.id);
    const allowed = Math.min(this.#mostSteps(), LEAST_STEPS + BUDGETS.stepRate.limit * ((this.#now() - use.beganMs) / 1000));
    const recorded = steps.slice(0, Math.max(0, Math.floor(allowed - use.steps)));
    use.steps += recorded.length;
    let advances = false;
    for (const { step } of recorded) {
      if (step <= this.#lastStep) continue;
      this.#lastStep = step;
      advances = true;
    }
    this.#leftOut(use, steps.length - recorded.length, 'steps');
    return { recorded, advances };
  }

  /** Whether a fault of the server in a session of the site is among the run's warnings. */
  fault(): boolean {
    return this.#faults.take();
  }

  /** Whether a memory event is recorded now. */
  memory(): boolean {
    return this.#memory.take();
  }

  /** Whether the event of a transfer is recorded. Throws as `steps` does. */
  transfer(): boolean {
    const use = this.#use ?? this.#useOf('');
    if (++use.transfers <= BUDGETS.transferLines.limit) return true;
    this.#leftOut(use, 1, 'transfers');
    return false;
  }

  /** Whether an object has come further than ever before in the site's present task. */
  reaches(task: Task, object: string, offset: number): boolean {
    const { reached } = this.#useOf(task.id);
    if (offset <= (reached.get(object) ?? 0)) return false;
    reached.set(object, offset);
    return true;
  }

  #useOf(task: string): Use {
    if (this.#use?.task !== task) this.#use = { task, beganMs: this.#now(), steps: 0, transfers: 0, leftOut: 0, reached: new Map() };
    return this.#use;
  }

  /** A program of the site's own decides how many steps it takes, and an epoch is of any length. */
  #mostSteps(): number {
    const { trainer, train } = this.#options.job;
    if (trainer || train.localEpochs !== undefined || (train.localSeconds !== undefined && train.localSteps === undefined))
      return BUDGETS.stepsOfTask.limit;
    const asked = train.localSteps ?? DEFAULT_LOCAL_STEPS;
    return Math.max(LEAST_STEPS, BUDGETS.stepsTimesAsked.limit * asked);
  }

  #leftOut(use: Use, count: number, what: string): void {
    if (count <= 0) return;
    const { site, emit } = this.#options;
    if (use.leftOut === 0) {
      const message = `${site} reports more ${what} in ${use.task} than its budget; further ones are left out of the record`;
      this.log.warn({ site, task: use.task }, message);
      emit({ type: 'warning', message });
    }
    use.leftOut += count;
    if (use.leftOut > BUDGETS.leftOut.limit) throw this.#tooMuch(`more than ${BUDGETS.leftOut.limit} ${what} beyond its budget`);
  }

  #tooMuch(what: string): FedStreamError {
    return new FedStreamError('limit', `${this.#options.site} reports too much: ${what}`);
  }
}

/** Steps of a round where the job gives neither steps nor epochs; see docs/job.md. */
const DEFAULT_LOCAL_STEPS = 60;
