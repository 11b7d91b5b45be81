// Watches the task board of a run: which task was posted to whom, and who settled it.
import type { ResultFigures, Task } from '../../../src/exchange/task.js';
import { TaskBoard } from '../../../src/server/task-board.js';
import type { Outcome } from '../../../src/workflow/federation.js';
import type { Findings } from './findings.js';

/** A task that was posted, and its end. */
export interface Posted {
  readonly site: string;
  readonly task: Task;
  /** Set once the site has answered. */
  settled?: 'done' | 'failed';
  /** The figures that settled it. */
  result?: ResultFigures;
  /** Set once its round goes on, with or without an answer. */
  closed: boolean;
  /** Set once an insider has sent something that may settle the task. */
  answeredBy?: string;
  /** Object ids of the results that were confirmed. */
  readonly confirmed: Set<string>;
}

/** Replaces methods of the task board by ones that look on, until `restore`. */
export class BoardWatch {
  /** Every task, by id. */
  readonly tasks = new Map<string, Posted>();
  /** The same, in the order of posting. */
  readonly all: Posted[] = [];
  readonly stopped: { reason?: string } = {};
  #board: TaskBoard | undefined;
  readonly #current = new Map<string, Posted>();
  readonly #findings: Findings;
  readonly #restore: () => void;

  constructor(findings: Findings, honest: readonly string[]) {
    this.#findings = findings;
    const { post, done, fail, stop } = TaskBoard.prototype;
    this.#restore = () => Object.assign(TaskBoard.prototype, { post, done, fail, stop });
    const watch = this;
    TaskBoard.prototype.post = function (site, task, answer) {
      watch.#board = this;
      watch.#posted(this.open(site), site, task);
      post.call(this, site, task, answer);
    };
    TaskBoard.prototype.done = function (site, result) {
      const before = this.open(site);
      done.call(this, site, result);
      watch.#done(before, this.open(site), result);
    };
    TaskBoard.prototype.fail = function (site, reason) {
      findings.check(!honest.includes(site), 'an honest site failed', () => `${site}: ${reason}`);
      const before = this.open(site);
      fail.call(this, site, reason);
      if (!this.open(site)) watch.#failed(before, reason);
    };
    TaskBoard.prototype.stop = function (reason) {
      watch.stopped.reason = reason;
      stop.call(this, reason);
    };
  }

  /** The task that the site was given last. */
  current(site: string): Posted | undefined {
    return this.#current.get(site);
  }

  /** The task that the site has to answer. */
  open(site: string): Posted | undefined {
    const task = this.#board?.open(site);
    return task && this.tasks.get(task.id);
  }

  /** Notes that a site has said something that may settle a task; returns the task. */
  said(site: string, taskId: unknown): Posted | undefined {
    const posted = typeof taskId === 'string' ? this.tasks.get(taskId) : undefined;
    if (posted?.site === site) posted.answeredBy = site;
    return posted;
  }

  /** Compares the outcome of a wait with what the board was told. */
  closed(site: string, outcome: Outcome | undefined): void {
    const posted = this.#current.get(site);
    if (!posted || !outcome || outcome.site !== site) {
      this.#findings.add('an outcome of nobody', `${site}: ${JSON.stringify(outcome)}`);
      return;
    }
    const { status } = outcome;
    const fits = status === 'done' || status === 'failed' ? posted.settled === status : posted.settled === undefined;
    this.#findings.check(
      fits && !posted.closed,
      'an outcome that the board did not have',
      () => `${posted.task.id}: ${status}, was ${posted.settled}`,
    );
    if (status === 'done')
      this.#findings.check(same(outcome.reply.figures, posted.result), 'figures that did not settle the task', () =>
        JSON.stringify([outcome.reply.figures, posted.result]),
      );
    posted.closed = true;
    this.#findings.count(`task ${status}`);
  }

  restore(): void {
    this.#restore();
  }

  #posted(open: Task | undefined, site: string, task: Task): void {
    this.#findings.check(open === undefined, 'a task took the place of an open one', () => `${task.id} of ${open?.id}`);
    const known = this.tasks.get(task.id);
    this.#findings.check(known === undefined, 'a task was posted twice', () => task.id);
    const posted: Posted = { site, task, closed: false, confirmed: new Set() };
    this.tasks.set(task.id, posted);
    this.all.push(posted);
    this.#current.set(site, posted);
  }

  #done(before: Task | undefined, after: Task | undefined, result: ResultFigures): void {
    if (!before || after) return;
    const posted = this.tasks.get(before.id) as Posted;
    this.#findings.check(result.task === before.id, 'an answer settled another task', () => `${result.task} settled ${before.id}`);
    posted.result = result;
    this.#settle(posted, 'done');
  }

  #failed(before: Task | undefined, reason: string): void {
    if (before) this.#settle(this.tasks.get(before.id) as Posted, 'failed', reason);
  }

  #settle(posted: Posted, how: 'done' | 'failed', reason = ''): void {
    const { site, task, answeredBy, closed } = posted;
    this.#findings.check(!closed, 'a closed task was settled', () => `${task.id} ${how} ${reason}`);
    if (site.startsWith('mallory'))
      this.#findings.check(answeredBy === site, 'a task was settled without a word of its site', () => `${task.id} ${how} ${reason}`);
    posted.settled = how;
  }
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
