// Keeps a site's own control variate of SCAFFOLD (Karimireddy et al. 2020): a file for each round,
// bound to a run.
import type { Folder } from '../core/storage.js';
import { combine } from '../tensor/combine.js';
import { openSafetensors, writeSafetensors } from '../tensor/safetensors.js';
import { type StateDict, withManifest } from '../tensor/state-dict.js';

const FILE = /^control-(\d+)\.safetensors$/;
/** The key of a file's metadata that holds the run's id. */
const RUN = 'fedstream.run';

/** The control variates of one site and run, in a folder or in memory. */
export class ControlVariates {
  readonly #folder: Folder;
  readonly #run: string;

  constructor(folder: Folder, run: string) {
    this.#folder = folder;
    this.#run = run;
  }

  /**
   * The control variate of the last round before `round` that the site took part in; undefined,
   * which counts as 0, if there is none. The caller closes it.
   */
  async before(round: number): Promise<StateDict | undefined> {
    const rounds = (await this.#rounds()).filter((kept) => kept < round);
    for (const kept of rounds.reverse()) {
      const state = await openSafetensors(this.#folder, fileOf(kept));
      if (state.manifest.metadata[RUN] === this.#run) return withManifest(state, { ...state.manifest, metadata: {} });
      await state.close?.();
    }
    return undefined;
  }

  /**
   * Keeps the control variate of a round, durably, before the result can reach the server. The one
   * of the round before stays, since a round that is cut short starts again from it; older ones are
   * removed.
   */
  async keep(round: number, control: StateDict): Promise<void> {
    const manifest = { ...control.manifest, metadata: { [RUN]: this.#run } };
    await writeSafetensors(this.#folder, fileOf(round), withManifest(control, manifest));
    const rounds = await this.#rounds();
    const kept = rounds.filter((one) => one <= round).slice(-2);
    for (const one of rounds) if (!kept.includes(one)) await this.#folder.remove(fileOf(one));
  }

  /**
   * The change of a round: its control variate less `before`, the one that it began with. Closing
   * the difference closes `before`.
   */
  async change(round: number, before: StateDict | undefined): Promise<StateDict> {
    const file = await openSafetensors(this.#folder, fileOf(round));
    const after = withManifest(file, { ...file.manifest, metadata: {} });
    if (!before) return after;
    const close = async (): Promise<void> => {
      await after.close?.();
      await before.close?.();
    };
    return { ...combine(after, before, -1), close };
  }

  async #rounds(): Promise<number[]> {
    const names = await this.#folder.list();
    const rounds = names.flatMap((name) => FILE.exec(name)?.[1] ?? []).map(Number);
    return rounds.sort((a, b) => a - b);
  }
}

function fileOf(round: number): string {
  return `control-${round}.safetensors`;
}
