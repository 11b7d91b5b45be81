// A site's personal model (Ditto, Li et al. 2021, "Ditto: Fair and robust federated learning through
// personalization"): it is trained beside the global one, near to it, and never leaves the site.
import type { Folder } from '../core/storage.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { LlamaEngine } from './llama/engine.js';
import { RoundStates } from './round-states.js';

/** The personal models of one site and run, and their optimizer's state. */
export class PersonalModels {
  readonly #models: RoundStates;
  readonly #optimizers: RoundStates;

  constructor(folder: Folder, run: string) {
    this.#models = new RoundStates(folder, 'personal', run);
    this.#optimizers = new RoundStates(folder, 'personal-optimizer', run);
  }

  /**
   * Makes the engine ready to train the personal model: that of the last round before, or the global
   * one where there is none, with `lambda / 2 × ‖personal − global‖²` in its loss.
   */
  async load(engine: LlamaEngine, round: number, global: StateDict, lambda: number, keepsOptimizer: boolean): Promise<void> {
    // The proximal term is relative to what is loaded now; what is trained is loaded after it.
    await engine.load(global);
    await engine.guide({ mu: lambda });
    const own = await this.#models.before(round);
    if (own) await engine.load(own.state);
    await own?.state.close?.();
    const optimizer = keepsOptimizer ? await this.#optimizers.before(round) : undefined;
    if (optimizer) await engine.loadOptimizer(optimizer.state);
    else engine.resetOptimizer();
    await optimizer?.state.close?.();
  }

  /** Keeps what the engine has trained, durably. */
  async keep(engine: LlamaEngine, round: number, keepsOptimizer: boolean): Promise<void> {
    await this.#models.keep(round, engine.weights());
    if (keepsOptimizer) await this.#optimizers.keep(round, engine.saveOptimizer());
  }
}
