// A site's part in an attempt at a round, on disk: its token, and how far it has come.
import { z } from 'zod';
import { jsonText } from '../core/json-text.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import { type ResultFigures, resultSchema } from '../exchange/task.js';
import { makeToken } from '../frame/token.js';

const partSchema = z.strictObject({
  label: z.string(),
  /** Proves the site's name to the aggregator of this attempt, and to nobody else. */
  token: z.string(),
  /** The figures of its training, as they went to the aggregator. */
  trained: resultSchema.optional(),
  /** The figures with the new model's evaluation, once that model is held. */
  evaluated: resultSchema.optional(),
  /** True once the aggregator has those. */
  done: z.boolean().default(false),
});

type State = z.output<typeof partSchema>;

const FILE = 'part.json';

/** The part in an attempt. */
export class Part {
  readonly #folder: Folder;
  #state: State;

  private constructor(folder: Folder, state: State) {
    this.#folder = folder;
    this.#state = state;
  }

  /** The part in the attempt of that label: as it was left, or one that begins, with a new token. */
  static async of(label: string, site: string, folder: Folder): Promise<Part> {
    const known = await readState(folder, FILE, partSchema);
    if (known?.label === label) return new Part(folder, known);
    const part = new Part(folder, { label, token: makeToken(site), done: false });
    await part.#write({});
    return part;
  }

  get token(): string {
    return this.#state.token;
  }

  get trained(): ResultFigures | undefined {
    return this.#state.trained;
  }

  get evaluated(): ResultFigures | undefined {
    return this.#state.evaluated;
  }

  get done(): boolean {
    return this.#state.done;
  }

  /** Called before and after figures of a training leave. */
  training(trained: ResultFigures): Promise<void> {
    return this.#write({ trained });
  }

  /** Called before the figures of the new model leave, which is held from then on. */
  holding(evaluated: ResultFigures): Promise<void> {
    return this.#write({ evaluated });
  }

  /** Called once the aggregator has all that it asked for. */
  end(): Promise<void> {
    return this.#write({ done: true });
  }

  async #write(more: Partial<State>): Promise<void> {
    this.#state = { ...this.#state, ...more };
    await writeText(this.#folder, FILE, jsonText(this.#state, FILE));
  }
}
