// Keeps a site's own control variate of SCAFFOLD (Karimireddy et al. 2020).
import type { Folder } from '../core/storage.js';
import { combine } from '../tensor/combine.js';
import type { StateDict } from '../tensor/state-dict.js';
import { RoundStates } from './round-states.js';

/** The control variates of one site and run, in a folder or in memory. */
export class ControlVariates {
  readonly #states: RoundStates;

  constructor(folder: Folder, run: string) {
    this.#states = new RoundStates(folder, 'control', run);
  }

  /**
   * The control variate of the last round before `round` that the site took part in; undefined,
   * which counts as 0, if there is none. The caller closes it.
   */
  async before(round: number): Promise<StateDict | undefined> {
    return (await this.#states.before(round))?.state;
  }

  /** Keeps the control variate of a round, durably, before the result can reach the server. */
  keep(round: number, control: StateDict): Promise<void> {
    return this.#states.keep(round, control);
  }

  /** Forgets the control variate of a round whose change the server has not taken. */
  drop(round: number): Promise<void> {
    return this.#states.drop(round);
  }

  /**
   * The change of a round: its control variate less `before`, the one that it began with. Closing
   * the difference closes `before`.
   */
  async change(round: number, before: StateDict | undefined): Promise<StateDict> {
    const after = (await this.#states.of(round)) as StateDict;
    if (!before) return after;
    const close = async (): Promise<void> => {
      await after.close?.();
      await before.close?.();
    };
    return { ...combine(after, before, -1), close };
  }
}
