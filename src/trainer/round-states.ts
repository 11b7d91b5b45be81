// State that a site keeps from round to round: a file for each of the last two rounds that it took part
// in, bound to a run.
import type { Folder } from '../core/storage.js';
import type { Manifest } from '../tensor/manifest.js';
import { openSafetensors, writeSafetensors } from '../tensor/safetensors.js';
import { type StateDict, withManifest } from '../tensor/state-dict.js';

/** The key of a file's metadata that holds the run's id. */
const RUN = 'fedstream.run';

/** A kept state dict, and the round at whose end it stands. The caller closes it. */
export interface RoundState {
  readonly round: number;
  readonly state: StateDict;
}

/** One kind of state of one site and run, in a folder or in memory. */
export class RoundStates {
  readonly #folder: Folder;
  readonly #kind: string;
  readonly #run: string;

  /** Files are named `<kind>-<round>.safetensors`; `kind` has small letters and dashes. */
  constructor(folder: Folder, kind: string, run: string) {
    this.#folder = folder;
    this.#kind = kind;
    this.#run = run;
  }

  /**
   * The state of the last round before `round` that the site took part in; undefined where there is
   * none. A round that is done again, after a crash or for a server that goes on from an earlier one,
   * so begins with what it began with before. Its chunks are those of the manifest `like`.
   */
  async before(round: number, like?: Manifest): Promise<RoundState | undefined> {
    const rounds = (await this.#rounds()).filter((kept) => kept < round);
    for (const kept of rounds.reverse()) {
      const state = await this.#open(kept, like);
      if (state) return { round: kept, state };
    }
    return undefined;
  }

  /** The state that was kept for a round. */
  async of(round: number): Promise<StateDict | undefined> {
    return (await this.#rounds()).includes(round) ? this.#open(round) : undefined;
  }

  /**
   * Keeps the state of a round, durably. The one of the round before stays, since a round that is cut
   * short starts again from it; older ones are removed.
   */
  async keep(round: number, state: StateDict): Promise<void> {
    const { manifest } = state;
    const bound = { ...manifest, metadata: { ...manifest.metadata, [RUN]: this.#run } };
    await writeSafetensors(this.#folder, this.#file(round), withManifest(state, bound));
    const rounds = await this.#rounds();
    const kept = rounds.filter((one) => one <= round).slice(-2);
    for (const one of rounds) if (!kept.includes(one)) await this.#folder.remove(this.#file(one));
  }

  /** Removes the state of a round whose result does not count. */
  async drop(round: number): Promise<void> {
    await this.#folder.remove(this.#file(round));
  }

  async #open(round: number, like?: Manifest): Promise<StateDict | undefined> {
    const state = await openSafetensors(this.#folder, this.#file(round), like && { chunkElements: like.chunkElements });
    const { [RUN]: run, ...metadata } = state.manifest.metadata;
    if (run === this.#run) return withManifest(state, { ...state.manifest, metadata });
    await state.close?.();
    return undefined;
  }

  async #rounds(): Promise<number[]> {
    const names = await this.#folder.list();
    const [begin, end] = [`${this.#kind}-`, '.safetensors'];
    const numbers = names.flatMap((name) => (name.startsWith(begin) && name.endsWith(end) ? [name.slice(begin.length, -end.length)] : []));
    return numbers
      .filter((number) => /^\d+$/.test(number))
      .map(Number)
      .sort((a, b) => a - b);
  }

  #file(round: number): string {
    return `${this.#kind}-${round}.safetensors`;
  }
}
