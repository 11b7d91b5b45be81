// A training in parts that goes on at a site from task to task: hands out what each segment ends
// with, and takes what is merged.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { type PartPlan, roundOfSegment } from '../trainer/part-plan.js';
import type { PartsStart, StepReport, TrainedPart, Trainer } from '../trainer/trainer.js';

/** Options of `PartSession`. */
export interface PartSessionOptions {
  readonly trainer: Trainer;
  readonly plan: PartPlan;
  readonly parts: readonly ReadonlySet<string>[];
  readonly rounds: number;
  /** The segments that are done. */
  readonly done: number;
  readonly start: PartsStart;
  readonly signal: AbortSignal;
  /** Keeps a state of the trainer, durably, before what was trained can reach the server. */
  keep(done: number, state: StateDict): Promise<void>;
}

/** Hears of the training while a task is open. */
export interface PartListener {
  onStep(report: StepReport): void;
  onProgress(): void;
}

interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: Error): void;
}

/** A training from its start to the end of the run. */
export class PartSession {
  /** The number of segments after which it began with a global model, of which nothing is merged; −1 if with a state. */
  readonly begins: number;
  /** The segments whose parts were handed out. */
  #done: number;
  /** The last segment of the run. */
  readonly #last: number;
  readonly #stop = new AbortController();
  readonly #trained = new Map<number, Deferred<TrainedPart>>();
  readonly #merged = new Map<number, Deferred<() => Promise<StateDict>>>();
  readonly #running: Promise<void>;
  #failure: FedStreamError | undefined;
  #listener: PartListener | undefined;
  /** Steps that were done while no task was open. */
  #steps: StepReport[] = [];

  constructor(options: PartSessionOptions) {
    this.#done = options.done;
    this.#last = options.rounds * options.plan.of;
    this.begins = options.start.kind === 'model' ? options.done : -1;
    const { signal } = options;
    // A trainer that waits for a part hears of it, too.
    signal.addEventListener('abort', () => this.#fail(asFedStreamError(signal.reason, 'aborted')), { signal: this.#stop.signal });
    this.#running = this.#run(options);
  }

  /** The segment whose end is handed out next. */
  get next(): number {
    return this.#done + 1;
  }

  /** True once the training has failed or was stopped. */
  get isOver(): boolean {
    return this.#failure !== undefined;
  }

  /** Reports to a listener from now on, first the steps that nobody has heard of. */
  attach(listener: PartListener): void {
    this.#listener = listener;
    for (const step of this.#steps.splice(0)) listener.onStep(step);
  }

  detach(): void {
    this.#listener = undefined;
  }

  /** Gives the values that are merged for what a segment has sent; `open` is called when they are read. */
  give(segment: number, open: () => Promise<StateDict>): void {
    this.#of(this.#merged, segment).resolve(open);
  }

  /** The part with which a segment ends; parts of segments before it are dropped. Its model is the caller's to close. */
  async segment(segment: number): Promise<TrainedPart> {
    for (; this.#done < segment - 1; this.#done++) await (await this.#take(this.#done + 1)).model.close?.();
    const part = await this.#take(segment);
    this.#done = segment;
    return part;
  }

  /** Ends the training; one that has handed out its last part ends by itself. */
  async close(): Promise<void> {
    if (this.#done < this.#last) this.#fail(new FedStreamError('aborted', 'the training in parts was stopped'));
    await this.#running;
    for (const { promise } of this.#trained.values()) {
      const part = await promise.catch(() => undefined);
      await part?.model.close?.();
    }
  }

  async #take(segment: number): Promise<TrainedPart> {
    const part = await this.#of(this.#trained, segment).promise;
    this.#trained.delete(segment);
    return part;
  }

  async #run({ trainer, plan, parts, rounds, done, start, signal, keep }: PartSessionOptions): Promise<void> {
    const send = async (part: TrainedPart): Promise<void> => {
      if (part.state) await keep(part.segment, part.state);
      this.#of(this.#trained, part.segment).resolve(part);
    };
    const merge = async (segment: number): Promise<StateDict> => {
      const open = await this.#of(this.#merged, segment).promise;
      this.#merged.delete(segment);
      return open();
    };
    const round = roundOfSegment(done + 1, plan.of);
    const task = {
      round,
      rounds,
      plan,
      parts,
      done,
      signal: AbortSignal.any([signal, this.#stop.signal]),
      onStep: (step: StepReport) => {
        if (this.#listener) this.#listener.onStep(step);
        else this.#steps.push(step);
      },
      onProgress: () => this.#listener?.onProgress(),
      send,
      merge,
    };
    try {
      await trainer.trainParts?.(task, start);
      this.#fail(new FedStreamError('trainer', 'the trainer has ended its training in parts, and more is asked for'));
    } catch (error) {
      this.#fail(asFedStreamError(signal.aborted ? signal.reason : error));
    } finally {
      await start.dict.close?.();
    }
  }

  /** The first failure is what every wait rejects with. */
  #fail(error: FedStreamError): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#stop.abort(error);
    for (const waits of [this.#trained, this.#merged]) for (const wait of waits.values()) wait.reject(error);
  }

  #of<T>(waits: Map<number, Deferred<T>>, segment: number): Deferred<T> {
    const known = waits.get(segment);
    if (known) return known;
    const made = deferred<T>();
    waits.set(segment, made);
    if (this.#failure) made.reject(this.#failure);
    return made;
  }
}

function deferred<T>(): Deferred<T> {
  let settle: Omit<Deferred<T>, 'promise'> = { resolve: () => {}, reject: () => {} };
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  promise.catch(() => {});
  return { promise, ...settle };
}
