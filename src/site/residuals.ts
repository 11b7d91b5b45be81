// The residuals of a site's updates: what coding left out is added to the next update (error
// feedback). One file for each round, bound to a run.

import { z } from 'zod';
import { inFloat32 } from '../codec/float32.js';
import { jsonText } from '../core/json-text.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { bytesDigest } from '../exchange/content-digest.js';
import { readState } from '../exchange/state-file.js';
import { openSafetensors } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';

const stateSchema = z.strictObject({
  run: z.string(),
  rounds: z.array(z.strictObject({ round: z.int().min(0), digest: z.string() })),
});

type State = z.output<typeof stateSchema>;

const STATE = 'residual.json';

/**
 * What coding leaves over is rounded to 16 bits: at most 1/512 of it is lost, which no study tells
 * from nothing (docs/evidence.md), and a site writes and keeps half as much in each round.
 */
export const RESIDUAL_DTYPE = 'BF16';

/** The residuals of a site in one run. */
export class Residuals {
  readonly #folder: Folder;
  readonly #run: string;
  /** Rounds whose file this process has written, so that it need not be verified again. */
  readonly #written = new Set<number>();

  /** `folder` holds nothing but residuals. */
  constructor(folder: Folder, run: string) {
    this.#folder = folder;
    this.#run = run;
  }

  /**
   * The last residual from before a round, as float32; undefined where there is none, or where a crash of the
   * machine damaged it. Rounds that the site took no part in, or whose result was refused, leave
   * the residual as it was.
   */
  async before(round: number): Promise<StateDict | undefined> {
    const last = (await this.#state()).rounds.filter((one) => one.round < round).at(-1);
    if (!last || (await this.#folder.sizeBytes(fileOf(last.round))) === undefined) return undefined;
    const model = await openSafetensors(this.#folder, fileOf(last.round));
    if (this.#written.has(last.round) || (await bytesDigest(model)) === last.digest) return inFloat32(model);
    await model.close?.();
    return undefined;
  }

  /** The file for the residual of a round's result. */
  file(round: number): { folder: Folder; name: string } {
    return { folder: this.#folder, name: fileOf(round) };
  }

  /**
   * Records a residual, durably, before the result can reach the server. The last two are kept,
   * since a round that was cut short starts again from the one before.
   */
  async keep(round: number, digest: string): Promise<void> {
    const { rounds } = await this.#state();
    const kept = [...rounds.filter((one) => one.round < round), { round, digest }].slice(-2);
    this.#written.add(round);
    await this.#write(kept);
    const names = new Set(kept.map((one) => fileOf(one.round)));
    for (const name of await this.#folder.list()) if (name !== STATE && !names.has(name)) await this.#folder.remove(name);
  }

  /**
   * Removes the residual of a result that was refused: nothing of that result was used, so nothing
   * is owed.
   */
  async drop(round: number): Promise<void> {
    const { rounds } = await this.#state();
    await this.#write(rounds.filter((one) => one.round !== round));
    await this.#folder.remove(fileOf(round));
  }

  async #state(): Promise<State> {
    const state = await readState(this.#folder, STATE, stateSchema);
    return state?.run === this.#run ? state : { run: this.#run, rounds: [] };
  }

  async #write(rounds: State['rounds']): Promise<void> {
    await writeText(this.#folder, STATE, jsonText({ run: this.#run, rounds }, STATE));
  }
}

function fileOf(round: number): string {
  return `residual-${round}.safetensors`;
}
