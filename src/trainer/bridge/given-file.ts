// The file of a model that a program is given: the site's own under a second name where that can be,
// or a copy.
import { FedStreamError } from '../../core/errors.js';
import type { Folder } from '../../core/storage.js';
import { writeSafetensors } from '../../tensor/safetensors.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { fileOf, type StoredFile } from '../../tensor/stored-file.js';

/** A program's files of models. */
export class GivenFiles {
  readonly #exchange: Folder;
  readonly #label: string;
  /** False once the program has written to a file that was not its own. */
  #lends = true;

  /** Takes `label`, the program's name in messages. */
  constructor(exchange: Folder, label: string) {
    this.#exchange = exchange;
    this.#label = label;
  }

  /**
   * Lets `work` use the file `name` of the model. Throws `trainer` where the program has changed the
   * site's own file meanwhile; it is given copies from then on.
   */
  async while<T>(name: string, model: StateDict, work: () => Promise<T>): Promise<T> {
    const own = this.#lends ? fileOf(model) : undefined;
    const stamp = own && (await this.#lend(own, name));
    if (stamp === undefined) await writeSafetensors(this.#exchange, name, model, { durable: false });
    const done = await work();
    // What was read since then may not be what the server sent; the site finds its own file changed, too.
    if (own && stamp !== undefined && (await own.folder.stamp?.(own.name)) !== stamp) throw this.#wrote(name);
    return done;
  }

  /** Gives the file a second name; its stamp, or undefined where it has none or cannot have two names. */
  async #lend({ folder, name }: StoredFile, as: string): Promise<string | undefined> {
    const stamp = await folder.stamp?.(name);
    return stamp !== undefined && (await folder.link?.(name, this.#exchange, as)) ? stamp : undefined;
  }

  #wrote(name: string): FedStreamError {
    this.#lends = false;
    const file = `${this.#exchange.label}/${name}`;
    return new FedStreamError(
      'trainer',
      `${this.#label} wrote to ${file}, the model that it was given to read; its own model belongs in the file of \`result\`. It is given copies from now on`,
    );
  }
}
