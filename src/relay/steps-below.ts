// The steps of a relay's sites as those of one site: the server sees that work goes on, and one curve.
import type { EventBody } from '../record/events.js';
import type { StepReport } from '../trainer/trainer.js';

type Step = Extract<EventBody, { type: 'step' }>;

/** Follows the steps of one task. */
export class StepsBelow {
  readonly #report: (step: StepReport) => void;
  /** The last step of each site. */
  readonly #last = new Map<string, Step>();
  #furthest = 0;
  #tokens = 0;

  constructor(report: (step: StepReport) => void) {
    this.#report = report;
  }

  /**
   * Takes a step of a site. One that no site had reached before is told: the mean of the sites' last
   * losses, and the tokens of all steps since the one before.
   */
  take(step: Step): void {
    this.#last.set(step.site, step);
    this.#tokens += step.tokens ?? 0;
    if (step.step <= this.#furthest) return;
    this.#furthest = step.step;
    const last = [...this.#last.values()];
    const loss = last.reduce((sum, each) => sum + each.loss / last.length, 0);
    this.#report({ step: step.step, loss, learningRate: step.learningRate ?? 0, tokens: this.#tokens });
    this.#tokens = 0;
  }
}
