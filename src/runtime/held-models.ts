// What the sites hold after each broadcast, decoded: the next broadcast is the difference to it. Server and sites keep the same bits.
import type { Folder } from '../core/storage.js';
import { openSafetensors, writeSafetensors } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';

/** The last two rounds' models in a folder: a round that was cut short can be done again from the one before. */
export class HeldModels {
  readonly #folder: Folder;

  constructor(folder: Folder) {
    this.#folder = folder;
  }

  /** Undefined where that round's model is not held here. */
  async open(round: number): Promise<StateDict | undefined> {
    if ((await this.#folder.sizeBytes(fileOf(round))) === undefined) return undefined;
    return openSafetensors(this.#folder, fileOf(round));
  }

  /** Writes what a broadcast decodes to, chunk by chunk, and opens it. */
  async keep(round: number, model: StateDict): Promise<StateDict> {
    await writeSafetensors(this.#folder, fileOf(round), model);
    await this.#folder.remove(fileOf(round - 2));
    return openSafetensors(this.#folder, fileOf(round));
  }

  /** Forgets a round's model. */
  async drop(round: number): Promise<void> {
    await this.#folder.remove(fileOf(round));
  }
}

function fileOf(round: number): string {
  return `held-${round}.safetensors`;
}
