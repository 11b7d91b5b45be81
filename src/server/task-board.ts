// The task board: the controller posts a task a site, sites ask for theirs, and the round ends when it can.
import { FedStreamError } from '../core/errors.js';
import type { NextTask, ResultFigures, Task } from '../exchange/task.js';

/** A site's answer to its task. */
export type Outcome =
  | { readonly site: string; readonly status: 'done'; readonly result: ResultFigures }
  | { readonly site: string; readonly status: 'failed' | 'silent'; readonly reason: string };

export interface GatherOptions {
  /** Results that are needed. */
  readonly quorum: number;
  /** A site without progress for this long is given up. */
  readonly stragglerMs: number;
  /** A site without a connection for this long is given up. */
  readonly reconnectMs: number;
  readonly signal: AbortSignal;
}

interface Desk {
  task?: Task;
  outcome?: Outcome;
  /** When the site last showed progress, or was given its task. */
  lastSignMs: number;
  connected: boolean;
  asking: ((next: NextTask) => void)[];
  waiting: (() => void)[];
}

/** Knows nothing of connections or models: only who was asked what, who answered, and since when a site has been silent. */
export class TaskBoard {
  readonly #desks = new Map<string, Desk>();
  readonly #now: () => number;
  #stop: string | undefined;
  #changed: () => void = () => {};

  constructor(sites: readonly string[], now: () => number = () => performance.now()) {
    this.#now = now;
    for (const site of sites) this.#desks.set(site, { lastSignMs: now(), connected: false, asking: [], waiting: [] });
  }

  /** Resolves with the site's open task, with the next one that is posted, or with the order to stop. */
  next(site: string): Promise<NextTask> {
    const desk = this.#desk(site);
    this.sign(site);
    if (this.#stop !== undefined) return Promise.resolve({ stop: this.#stop });
    const { task } = desk;
    if (task && !desk.outcome) return Promise.resolve({ task });
    return new Promise((resolve) => {
      desk.asking.push(resolve);
    });
  }

  /** The site's open task, if it is the one of that id: a late result of an earlier round finds none. */
  open(site: string, taskId: string): Task | undefined {
    const { task, outcome } = this.#desk(site);
    return task?.id === taskId && !outcome ? task : undefined;
  }

  /** Resolves once the site has been given a task in this process, or all are told to stop: before, nobody knows what its results belong to. */
  async posted(site: string): Promise<void> {
    const desk = this.#desk(site);
    if (desk.task || this.#stop !== undefined) return;
    await new Promise<void>((resolve) => desk.waiting.push(resolve));
  }

  /** `result` where the site has answered already, before this process began. */
  post(site: string, task: Task, result?: ResultFigures): void {
    const desk = this.#desk(site);
    desk.task = task;
    desk.outcome = result && { site, status: 'done', result };
    desk.lastSignMs = this.#now();
    for (const resolve of desk.waiting.splice(0)) resolve();
    if (result) return;
    for (const resolve of desk.asking.splice(0)) resolve({ task });
  }

  /** The site showed progress: a step, a chunk, a question. */
  sign(site: string): void {
    this.#desk(site).lastSignMs = this.#now();
  }

  connection(site: string, connected: boolean): void {
    const desk = this.#desk(site);
    desk.connected = connected;
    desk.lastSignMs = this.#now();
    // Whoever asked over a connection that is gone asks again over the next one.
    if (!connected) desk.asking = [];
    this.#changed();
  }

  connectedSites(): string[] {
    return [...this.#desks].filter(([, desk]) => desk.connected).map(([site]) => site);
  }

  done(site: string, result: ResultFigures): void {
    this.#settle({ site, status: 'done', result });
  }

  fail(site: string, reason: string): void {
    this.#settle({ site, status: 'failed', reason });
  }

  /** Every site that asks, now or later, is told to stop. */
  stop(reason: string): void {
    this.#stop = reason;
    for (const desk of this.#desks.values()) {
      for (const resolve of desk.asking.splice(0)) resolve({ stop: reason });
      for (const resolve of desk.waiting.splice(0)) resolve();
    }
    this.#changed();
  }

  /**
   * Waits until every site of the tasks has answered or has been given up. Rejects with `quorum` as soon as too few can answer,
   * with `aborted` where the signal says so. Outcomes come in the order of site names.
   */
  async gather(sites: readonly string[], options: GatherOptions): Promise<Outcome[]> {
    for (;;) {
      options.signal.throwIfAborted();
      const waitMs = this.#giveUpSilent(sites, options);
      const outcomes = sites.map((site) => this.#desk(site).outcome);
      const lost = outcomes.filter((outcome) => outcome && outcome.status !== 'done');
      if (sites.length - lost.length < options.quorum) throw quorumLost(options.quorum, sites, lost as Outcome[]);
      if (outcomes.every((outcome) => outcome !== undefined)) return (outcomes as Outcome[]).sort((a, b) => (a.site < b.site ? -1 : 1));
      await this.#change(waitMs, options.signal);
    }
  }

  /** Gives up the sites whose silence is over the limit; returns the time until the next one's would be. */
  #giveUpSilent(sites: readonly string[], { stragglerMs, reconnectMs }: GatherOptions): number {
    let waitMs = Number.POSITIVE_INFINITY;
    for (const site of sites) {
      const desk = this.#desk(site);
      if (desk.outcome) continue;
      const limitMs = desk.connected ? stragglerMs : Math.min(reconnectMs, stragglerMs);
      const leftMs = desk.lastSignMs + limitMs - this.#now();
      if (leftMs > 0) {
        waitMs = Math.min(waitMs, leftMs);
        continue;
      }
      const reason = `${desk.connected ? 'made no progress' : 'was not connected'} for ${limitMs / 1000} s`;
      desk.outcome = { site, status: 'silent', reason };
    }
    return waitMs;
  }

  #change(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', finish);
        this.#changed = () => {};
        resolve();
      };
      const timer = setTimeout(finish, Math.min(Math.ceil(waitMs), 0x7fffffff));
      signal.addEventListener('abort', finish);
      this.#changed = finish;
    });
  }

  #settle(outcome: Outcome): void {
    const desk = this.#desk(outcome.site);
    if (!desk.task || desk.outcome) return;
    desk.outcome = outcome;
    this.#changed();
  }

  #desk(site: string): Desk {
    const desk = this.#desks.get(site);
    if (!desk)
      throw new FedStreamError('refused', `${site} is not a site of this job; its sites are ${[...this.#desks.keys()].join(', ')}`);
    return desk;
  }
}

function quorumLost(quorum: number, sites: readonly string[], lost: readonly Outcome[]): FedStreamError {
  const reasons = lost.map((outcome) => `${outcome.site} ${outcome.status === 'done' ? '' : outcome.reason}`).join('; ');
  return new FedStreamError(
    'quorum',
    `the round needs ${quorum} results and can get at most ${sites.length - lost.length} of ${sites.length}: ${reasons}`,
  );
}
