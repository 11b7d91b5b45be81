// Reports the steps of a task to the server: in the background, in order, one report at a time;
// with a heartbeat while no step ends.

import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { MOST_FIGURE } from '../exchange/figure.js';
import { type Memory, STEPS_A_REPORT } from '../exchange/protocol.js';
import type { Task } from '../exchange/task.js';
import type { StepReport } from '../trainer/trainer.js';
import type { ServerLink } from './server-link.js';

const BEAT_MS = 2_000;

/** Options of `StepReports`. */
export interface StepReportsOptions {
  readonly site: string;
  readonly link: ServerLink;
  memory(): Memory;
  /** False where losses of steps stay at the site: the server then hears that steps are done. */
  readonly steps?: boolean;
}

/** The step reports of one task. */
export class StepReports {
  readonly #task: Task;
  readonly #options: StepReportsOptions;
  readonly #waiting: StepReport[] = [];
  readonly #beat: ReturnType<typeof setInterval>;
  /** The one report that is on its way, and those that follow it. */
  #sending: Promise<void> | undefined;
  /** True if another report is to follow. It never waits more than once, however long the server is away. */
  #wanted = false;
  #closed = false;
  #failure: FedStreamError | undefined;
  #alive = false;

  constructor(task: Task, options: StepReportsOptions) {
    this.#task = task;
    this.#options = options;
    // Memory use is reported even while no step ends.
    this.#beat = setInterval(() => this.#send(), BEAT_MS);
  }

  /** Called when the trainer is at work though no step has ended. */
  readonly onProgress = (): void => {
    this.#alive = true;
  };

  readonly onStep = (report: StepReport): void => {
    if (!(Math.abs(report.loss) <= MOST_FIGURE)) {
      throw new FedStreamError(
        'non-finite',
        `step ${report.step} of ${this.#options.site} has loss ${report.loss}; lower train.learningRate`,
      );
    }
    if (this.#options.steps === false) {
      this.#alive = true;
      return;
    }
    this.#waiting.push(report);
    this.#send();
  };

  /** Resolves once the server has every step; rejects where reporting failed. */
  async flush(): Promise<void> {
    this.#send();
    await this.#sending;
    if (this.#failure) throw this.#failure;
  }

  close(): void {
    clearInterval(this.#beat);
    this.#closed = true;
  }

  #send(): void {
    if (this.#closed) return;
    this.#wanted = true;
    this.#sending ??= this.#report();
  }

  /** Sends what waits, one report after the other. Never rejects; the first failure is the last report. */
  async #report(): Promise<void> {
    await undefined; // steps that end together go in one report
    while (this.#wanted && !this.#failure) {
      this.#wanted = false;
      const steps = this.#waiting.slice(0, STEPS_A_REPORT);
      const alive = this.#alive;
      this.#alive = false;
      try {
        await this.#options.link.progress({ task: this.#task.id, steps, memory: this.#options.memory(), alive });
        this.#waiting.splice(0, steps.length);
        if (this.#waiting.length > 0 && !this.#closed) this.#wanted = true;
      } catch (error) {
        this.#failure = asFedStreamError(error);
        this.close();
      }
    }
    this.#sending = undefined;
  }
}
