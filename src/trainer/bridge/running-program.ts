// A running program: its session, its limit of silence, and one error for every way that it can
// fail.
import { FedStreamError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import { within } from '../../core/within.js';
import type { StepReport } from '../trainer.js';
import { type About, BridgeSession } from './bridge-session.js';
import type { BridgeJob, BridgePart, BridgeResult, BridgeTask } from './messages.js';
import type { TrainerProgram } from './program.js';
import { SilenceWatch } from './silence.js';

/** Options of a running program. */
export interface RunningOptions {
  /** The program's name in messages: `the trainer "hf-sft"`. */
  readonly label: string;
  readonly site: string;
  readonly job: BridgeJob;
  readonly folder: string;
  readonly silenceMs: number;
  readonly stopMs: number;
  readonly log: Logger;
}

/** Callbacks of an open task. */
export interface TaskListener {
  onStep(report: StepReport): void;
  onProgress(): void;
  /** Called with each part, in a task whose model is exchanged in parts. */
  onPart?(part: BridgePart): void;
}

/** An exit usually shows first as a closed connection; the exit code follows within this time. */
const EXIT_AFTER_CLOSE_MS = 2_000;
/** So often in the time of silence that is allowed does a program count as heard that waits for its site. */
const BEATS = 20;

/** A program from its start to its end, with one task at a time. */
export class RunningProgram {
  readonly #program: TrainerProgram;
  readonly #options: RunningOptions;
  /** Rejects once the program has ended or broken a rule. */
  readonly #lost: Promise<never>;
  #session: BridgeSession | undefined;
  #listener: TaskListener | undefined;
  #watch: SilenceWatch | undefined;

  constructor(program: TrainerProgram, options: RunningOptions) {
    this.#program = program;
    this.#options = options;
    program.onOutput(() => this.#progress());
    this.#lost = Promise.race([this.#ended(), this.#connect()]);
    this.#lost.catch(() => {});
  }

  /**
   * Resolves with the result; rejects with `trainer` and the end of the output, or with the
   * signal's reason. The program has ended after a rejection.
   */
  ask(task: BridgeTask, signal: AbortSignal, listener: TaskListener): Promise<BridgeResult> {
    return this.#watched(async () => (await this.#connected()).ask(task), during(task), signal, listener);
  }

  /**
   * What the program says of its training before it asks for its first task, which is one of the
   * round; rejects as `ask` does.
   */
  about(round: number, signal: AbortSignal, listener: TaskListener): Promise<About> {
    const told = async (): Promise<About> => {
      const session = await this.#connected();
      await session.ready;
      return session.about;
    };
    return this.#watched(told, `in round ${round}`, signal, listener);
  }

  /** Hands over the values to merge for what a segment of the open task has sent. */
  merge(segment: number, model: string): void {
    this.#session?.merge(segment, model);
  }

  /** A program that waits for this site is not silent. */
  async notSilentDuring<T>(work: Promise<T>): Promise<T> {
    const beat = setInterval(() => this.#watch?.heartbeat(), this.#options.silenceMs / BEATS);
    try {
      return await work;
    } finally {
      clearInterval(beat);
    }
  }

  /** Waits for an answer of the program, as long as it lives, keeps the rules and is not silent. */
  async #watched<T>(answer: () => Promise<T>, when: string, signal: AbortSignal, listener: TaskListener): Promise<T> {
    const { label, silenceMs } = this.#options;
    const watch = new SilenceWatch(silenceMs);
    this.#watch = watch;
    this.#listener = listener;
    const silent = watch.over.then(() => this.#failure(`said nothing for ${silenceMs / 1000} s ${when} and was ended`));
    const aborted = abortion(signal);
    try {
      return await Promise.race([answer(), this.#lost, silent, aborted.promise]);
    } catch (error) {
      // The end of the output is complete only once the program has ended.
      await this.end();
      if (signal.aborted) throw signal.reason;
      throw this.#withOutput(error, label, when);
    } finally {
      aborted.forget();
      watch.stop();
      this.#listener = undefined;
      this.#watch = undefined;
    }
  }

  /**
   * Tells the program that there are no more tasks, and waits for its end as long as it makes
   * progress; then ends it.
   */
  async stop(reason: string): Promise<void> {
    const watch = new SilenceWatch(this.#options.stopMs);
    this.#watch = watch;
    this.#session?.stop(reason);
    await Promise.race([this.#program.ended, watch.over]);
    watch.stop();
    this.#watch = undefined;
    await this.end();
  }

  async end(): Promise<void> {
    this.#session?.close();
    await this.#program.end();
  }

  async #connected(): Promise<BridgeSession> {
    for (;;) {
      if (this.#session) return this.#session;
      await this.#program.connected;
      // The session exists one turn of the event loop after the connection.
      await Promise.resolve();
    }
  }

  async #connect(): Promise<never> {
    const { label, site, job, folder, log } = this.#options;
    const connection = await this.#program.connected;
    this.#session = new BridgeSession(connection, {
      program: label,
      site,
      job,
      folder,
      log,
      onProgress: () => this.#progress(),
      onStep: (report) => this.#listener?.onStep(report),
      onPart: (part) => this.#listener?.onPart?.(part),
    });
    try {
      return await this.#session.failed;
    } catch (error) {
      if ((error as FedStreamError).code === 'closed') await within(this.#program.ended, EXIT_AFTER_CLOSE_MS);
      throw error;
    }
  }

  async #ended(): Promise<never> {
    const how = await this.#program.ended;
    throw new FedStreamError('closed', how);
  }

  #progress(): void {
    this.#watch?.heartbeat();
    this.#listener?.onProgress();
  }

  #failure(what: string): never {
    throw new FedStreamError('closed', what);
  }

  /** Adds name, round and output to an error; the message of `closed` lacks the program's name. */
  #withOutput(error: unknown, label: string, at: string): FedStreamError {
    const { code, message } = error as FedStreamError;
    const output = this.#program.lastLines();
    const what = code === 'closed' && !message.startsWith(label) ? `${label} ${message}` : message;
    const when = what.includes(' in round ') || !at.startsWith('in round ') ? '' : ` ${at}`;
    const end = output ? `; the end of its output: ${output}` : '; it printed nothing';
    return new FedStreamError('trainer', `${what}${when}${end}`, { cause: error });
  }
}

function during({ kind, round }: BridgeTask): string {
  return kind === 'offer' ? 'when it was asked for its initial model' : `in round ${round}`;
}

function abortion(signal: AbortSignal): { promise: Promise<never>; forget(): void } {
  let listener: () => void = () => {};
  const promise = new Promise<never>((_, reject) => {
    listener = () => reject(signal.reason);
    signal.addEventListener('abort', listener, { once: true });
    if (signal.aborted) listener();
  });
  promise.catch(() => {});
  return { promise, forget: () => signal.removeEventListener('abort', listener) };
}
