// The task board: the task of each site, its answer, and the time of its last progress. It knows
// nothing of connections or models.
import { FedStreamError } from '../core/errors.js';
import type { NextTask, ResultFigures, Task } from '../exchange/task.js';
import { waitingIn, wake } from './waiting.js';

/** A site's answer to its task. */
export type Answer =
  | { readonly site: string; readonly status: 'done'; readonly result: ResultFigures }
  | { readonly site: string; readonly status: 'failed' | 'silent' | 'late'; readonly reason: string };

/** How long to wait for answers, and how many are needed. */
export interface WaitOptions {
  /** The number of answers that are needed. */
  readonly quorum: number;
  /** A site without progress for this long is given up. */
  readonly silenceMs: number;
  /** A site without a connection for this long is given up. */
  readonly reconnectMs: number;
  /**
   * A site that has only said that it is alive, and advanced by no step and no byte, is given up
   * after this long; by default never.
   */
  readonly aliveMs?: number | undefined;
  /**
   * The wait ends this long after it began, or (`graceMs`) this long after the quorum was reached:
   * a number, or a function of the milliseconds that the quorum took.
   */
  readonly deadlineMs?: number | undefined;
  readonly graceMs?: number | ((quorumTookMs: number) => number) | undefined;
  readonly signal: AbortSignal;
}

/** The kinds of tasks that train. */
const TRAINING: ReadonlySet<string | undefined> = new Set(['train', 'trainPart']);
/** How long to wait for the first of several answers. */
export type FirstOptions = Omit<WaitOptions, 'quorum' | 'graceMs'>;

interface SiteState {
  task?: Task;
  answer?: Answer;
  /** The place of the answer in the order in which answers came. */
  order?: number;
  /** The time at which the task was posted. */
  postedMs?: number;
  /** Why an answer would come too late, where it would: whatever the site says, it is `late`. */
  expired?: string;
  /** The time at which the site was last heard of at work, or was given its task. */
  progressMs: number;
  /** The time at which its work last advanced, or at which it was given its task. */
  advancedMs: number;
  connected: boolean;
  readonly asking: Set<(next: NextTask) => void>;
  readonly waiting: Set<() => void>;
}

/** The tasks of a run's sites, and their answers. */
export class TaskBoard {
  readonly #sites = new Map<string, SiteState>();
  readonly #now: () => number;
  /** Answers that have come so far. */
  #answered = 0;
  #stop: string | undefined;
  #refused: FedStreamError | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(sites: readonly string[], now: () => number = () => performance.now()) {
    this.#now = now;
    for (const site of sites)
      this.#sites.set(site, { progressMs: now(), advancedMs: now(), connected: false, asking: new Set(), waiting: new Set() });
  }

  /**
   * Resolves with the site's open task, with the next one that is posted, or with the order to
   * stop. Rejects with the signal's reason once that is aborted, and then keeps nothing. Throws
   * `refused` where the site is not one of the job's.
   */
  next(site: string, signal?: AbortSignal): Promise<NextTask> {
    const state = this.#state(site);
    this.progress(site);
    if (this.#stop !== undefined) return Promise.resolve({ stop: this.#stop });
    if (state.expired !== undefined) this.#settle({ site, status: 'late', reason: state.expired });
    const { task } = state;
    if (task && !state.answer) return Promise.resolve({ task });
    return waitingIn(state.asking, signal);
  }

  /**
   * The site's open task. With an id, only the task of that id: a late result of an earlier round
   * finds none.
   */
  open(site: string, taskId?: string): Task | undefined {
    const { task, answer } = this.#state(site);
    return task && !answer && (taskId === undefined || task.id === taskId) ? task : undefined;
  }

  /**
   * Resolves once the site has been given a task in this process, or all are told to stop. Before
   * that, it is not known to which task its results belong. Rejects as `next` does.
   */
  async posted(site: string, signal?: AbortSignal): Promise<void> {
    const state = this.#state(site);
    if (state.task || this.#stop !== undefined) return;
    await waitingIn<void>(state.waiting, signal);
  }

  /**
   * Posts a site's task. `answer` is given where the site had answered before this process began.
   */
  post(site: string, task: Task, answer?: Answer): void {
    const state = this.#state(site);
    state.task = task;
    delete state.expired;
    delete state.answer;
    if (answer) this.#answers(state, answer);
    state.progressMs = this.#now();
    state.advancedMs = state.progressMs;
    state.postedMs = state.progressMs;
    wake(state.waiting, undefined);
    if (!answer) wake(state.asking, { task });
  }

  /**
   * Records that the site is at work, though nothing shows how far it is: a request, a word that it
   * is alive. That counts for `aliveMs` at the most.
   */
  progress(site: string): void {
    this.#state(site).progressMs = this.#now();
  }

  /** Records that the site's work has advanced: by a new step, or by bytes that were not there. */
  advanced(site: string): void {
    const state = this.#state(site);
    state.progressMs = this.#now();
    state.advancedMs = state.progressMs;
  }

  /**
   * Records that the site has a connection, or has none any more. Throws `refused` where the name
   * is not one of the job's.
   */
  connection(site: string, connected: boolean): void {
    const state = this.#state(site);
    state.connected = connected;
    state.progressMs = this.#now();
    // A request over the broken connection is repeated over the next one.
    if (!connected) state.asking.clear();
    this.#changed();
  }

  /** When a site was last heard of at work (`performance.now`), of all of them. */
  progressedMs(): number {
    return Math.max(...[...this.#sites.values()].map(({ progressMs }) => progressMs));
  }

  connectedSites(): string[] {
    return [...this.#sites].filter(([, state]) => state.connected).map(([site]) => site);
  }

  done(site: string, result: ResultFigures): void {
    this.#settle({ site, status: 'done', result });
  }

  fail(site: string, reason: string): void {
    this.#settle({ site, status: 'failed', reason });
  }

  /**
   * Lets the site's open task come to nothing: the site is not disturbed at its work, but whatever
   * it answers is `late`, with this reason. A site that asks for work gets no such task again.
   */
  expire(site: string, reason: string): void {
    const state = this.#state(site);
    if (state.task && !state.answer) state.expired = reason;
  }

  hasExpired(site: string): boolean {
    return this.#state(site).expired !== undefined;
  }

  /** The sites that have an open task of training. */
  training(): string[] {
    return [...this.#sites].flatMap(([site]) => (TRAINING.has(this.open(site)?.kind) ? [site] : []));
  }

  /** Ends every wait for answers, now or later, with an error. */
  refuse(error: FedStreamError): void {
    this.#refused ??= error;
    this.#changed();
  }

  /** Tells every site that asks for a task, now or later, to stop. */
  stop(reason: string): void {
    this.#stop = reason;
    for (const state of this.#sites.values()) {
      wake(state.asking, { stop: reason });
      wake(state.waiting, undefined);
    }
    this.#changed();
  }

  /**
   * Waits until every one of the sites has answered or has been given up. Rejects with `quorum` as
   * soon as too few can answer, with the error of `refuse`, and with the signal's reason where it is
   * aborted. Answers come in the order of site names. Several waits may run at once, for different
   * sites.
   */
  async answers(sites: readonly string[], options: WaitOptions): Promise<Answer[]> {
    const { quorum, deadlineMs = Number.POSITIVE_INFINITY, graceMs = Number.POSITIVE_INFINITY, signal } = options;
    const beganMs = this.#now();
    let graceEndMs = Number.POSITIVE_INFINITY;
    for (;;) {
      signal.throwIfAborted();
      if (this.#refused) throw this.#refused;
      let waitMs = this.#giveUpSilent(sites, options);
      if (graceEndMs === Number.POSITIVE_INFINITY && this.#answersOf(sites).filter(({ status }) => status === 'done').length >= quorum) {
        const quorumMs = this.#now();
        graceEndMs = quorumMs + (typeof graceMs === 'number' ? graceMs : graceMs(quorumMs - beganMs));
      }
      const endMs = Math.min(beganMs + deadlineMs, graceEndMs);
      if (this.#now() >= endMs) this.#giveUpLate(sites, beganMs + deadlineMs <= endMs);
      waitMs = Math.min(waitMs, endMs - this.#now());
      const answers = this.#answersOf(sites);
      const lost = answers.filter(({ status }) => status !== 'done');
      if (sites.length - lost.length < quorum) throw quorumLost(quorum, sites, lost);
      if (answers.length === sites.length) return answers.sort((a, b) => (a.site < b.site ? -1 : 1));
      await this.#change(waitMs, signal);
    }
  }

  /**
   * Waits until one of the sites has answered or has been given up; of several that have, returns
   * the one that came first. `deadlineMs` counts from each site's task. Rejects as `answers` does,
   * but knows no quorum.
   */
  async first(sites: readonly string[], options: FirstOptions): Promise<Answer> {
    const { deadlineMs = Number.POSITIVE_INFINITY, signal } = options;
    for (;;) {
      signal.throwIfAborted();
      if (this.#refused) throw this.#refused;
      let waitMs = this.#giveUpSilent(sites, options);
      for (const site of sites) {
        const leftMs = (this.#state(site).postedMs ?? this.#now()) + deadlineMs - this.#now();
        if (leftMs <= 0) this.#giveUpLate([site], true);
        else waitMs = Math.min(waitMs, leftMs);
      }
      const answered = sites.map((site) => this.#state(site)).filter(({ answer }) => answer !== undefined);
      const [first] = answered.sort((a, b) => (a.order as number) - (b.order as number));
      if (first) return first.answer as Answer;
      await this.#change(waitMs, signal);
    }
  }

  #answersOf(sites: readonly string[]): Answer[] {
    return sites.flatMap((site) => this.#state(site).answer ?? []);
  }

  /**
   * Gives up the sites that have been silent for too long; returns the time until the next one's
   * limit.
   */
  #giveUpSilent(sites: readonly string[], { silenceMs, reconnectMs, aliveMs = Number.POSITIVE_INFINITY }: FirstOptions): number {
    let waitMs = Number.POSITIVE_INFINITY;
    for (const site of sites) {
      const state = this.#state(site);
      if (state.answer) continue;
      const limitMs = state.connected ? silenceMs : Math.min(reconnectMs, silenceMs);
      const silentMs = state.progressMs + limitMs - this.#now();
      const leftMs = Math.min(silentMs, state.advancedMs + aliveMs - this.#now());
      if (leftMs > 0) {
        waitMs = Math.min(waitMs, leftMs);
        continue;
      }
      const silent = `${state.connected ? 'made no progress' : 'was not connected'} for ${limitMs / 1000} s`;
      const idle = `said for ${aliveMs / 1000} s that it is at work, and advanced by no step and no byte`;
      this.#answers(state, { site, status: 'silent', reason: silentMs <= 0 ? silent : idle });
    }
    return waitMs;
  }

  #giveUpLate(sites: readonly string[], deadline: boolean): void {
    const reason = deadline ? "had not finished when the round's time was up" : 'had not finished when the grace period was over';
    for (const site of sites) if (!this.#state(site).answer) this.#answers(this.#state(site), { site, status: 'late', reason });
  }

  #change(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', finish);
        this.#listeners.delete(finish);
        resolve();
      };
      const timer = setTimeout(finish, Math.min(Math.ceil(Math.max(waitMs, 0)), 0x7fffffff));
      signal.addEventListener('abort', finish);
      this.#listeners.add(finish);
    });
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #settle(answer: Answer): void {
    const state = this.#state(answer.site);
    if (!state.task || state.answer) return;
    const { site } = answer;
    this.#answers(state, state.expired === undefined ? answer : { site, status: 'late', reason: state.expired });
    this.#changed();
  }

  #answers(state: SiteState, answer: Answer): void {
    state.answer = answer;
    state.order = this.#answered++;
  }

  #state(site: string): SiteState {
    const state = this.#sites.get(site);
    if (!state) throw new FedStreamError('refused', `${site} is not a site of this job`);
    return state;
  }
}

/** Sites that an error names with their reasons, and the characters of each: many may fail at once. */
const REASONS_NAMED = 20;
const REASON_CHARACTERS = 300;

/** The error of a round that too few results are left for; it names the sites that are lost. */
export function quorumLost(quorum: number, sites: readonly string[], lost: readonly Answer[]): FedStreamError {
  const named = lost.slice(0, REASONS_NAMED).map((answer) => {
    const reason = answer.status === 'done' ? '' : answer.reason;
    return `${answer.site} ${reason.length > REASON_CHARACTERS ? `${reason.slice(0, REASON_CHARACTERS)}…` : reason}`;
  });
  const reasons = [...named, ...(lost.length > named.length ? [`and ${lost.length - named.length} more`] : [])].join('; ');
  return new FedStreamError(
    'quorum',
    `the round needs ${quorum} results and can get at most ${sites.length - lost.length} of ${sites.length}: ${reasons}`,
  );
}
