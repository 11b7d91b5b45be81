// The named state dicts of a run on disk: one file for each round and name, written under another
// name and renamed. A line of the journal makes them count.
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { EXTRA_NAME, MODEL_NAME } from '../tensor/extra-names.js';
import type { Manifest } from '../tensor/manifest.js';
import { beginSafetensors, openSafetensors, writeSafetensors } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { OFFERED_FILES } from '../trainer/bridge/messages.js';
import type { DictWriter, ModelStore } from '../workflow/federation.js';
import { LORA_KEPT } from '../workflow/lora/lora-aggregator.js';
import { BASE_FOLDER, globalModelPath, hasGlobalModel, pruneGlobalModels, roundDigits } from './global-models.js';
import type { JournalEntry } from './journal.js';

const STATE_FOLDER = 'state';

/** The model store of a run folder. */
export class RunModels implements ModelStore {
  readonly #run: Folder;
  readonly #history: readonly JournalEntry[];
  /** Files written since the last commit, by name. */
  readonly #written = new Map<string, string>();
  /** The seconds that writing the last global model took. */
  writeSeconds = 0;

  /** `history` is the run's own list, which grows with every commit. */
  constructor(run: Folder, history: readonly JournalEntry[]) {
    this.#run = run;
    this.#history = history;
  }

  async open(name: string): Promise<StateDict> {
    const file = await this.file(name);
    if (file === undefined) throw new FedStreamError('not-found', `the run has no state dict ${JSON.stringify(name)}`);
    return openSafetensors(this.#run, file);
  }

  async openRound(round: number): Promise<StateDict> {
    if (!(await hasGlobalModel(this.#run, round))) throw new FedStreamError('not-found', `the model of round ${round} was not kept`);
    return openSafetensors(this.#run, globalModelPath(round));
  }

  async names(): Promise<readonly string[]> {
    const kept = Object.keys(this.#history.at(-1)?.state ?? {});
    const model = (await this.file(MODEL_NAME)) === undefined ? [] : [MODEL_NAME];
    return [...new Set([...model, ...kept, ...this.#written.keys()])].sort();
  }

  async write(name: string, model: StateDict): Promise<StateDict> {
    const file = this.#newFile(name);
    const startedMs = performance.now();
    await writeSafetensors(this.#run, file, model);
    if (name === MODEL_NAME) this.writeSeconds = (performance.now() - startedMs) / 1000;
    this.#written.set(name, file);
    return openSafetensors(this.#run, file);
  }

  async begin(name: string, manifest: Manifest): Promise<DictWriter> {
    const file = this.#newFile(name);
    const writer = await beginSafetensors(this.#run, file, manifest);
    return {
      write: (bytes) => writer.write(bytes),
      finish: async () => {
        await writer.finish();
        this.#written.set(name, file);
      },
      abandon: () => writer.abandon(),
    };
  }

  /** The file of this round for a state dict that was not written in it yet. */
  #newFile(name: string): string {
    if (!EXTRA_NAME.test(name)) throw new FedStreamError('bad-argument', `${JSON.stringify(name)} cannot name a state dict of a run`);
    if (this.#written.has(name))
      throw new FedStreamError('bad-argument', `${name} was written in round ${this.round} already; a round writes each state dict once`);
    return name === MODEL_NAME ? globalModelPath(this.round) : `${STATE_FOLDER}/${name}-${roundDigits(this.round)}.safetensors`;
  }

  async writeTexts(files: Readonly<Record<string, string>>): Promise<void> {
    for (const name of OFFERED_FILES) if (files[name] !== undefined) await writeText(this.#run, `${BASE_FOLDER}/${name}`, files[name]);
  }

  /** The round that the next commit ends. */
  get round(): number {
    const last = this.#history.at(-1);
    return last ? last.round + 1 : 0;
  }

  /**
   * The file of a state dict as it was last written. The initial model may lie there before the run
   * begins.
   */
  async file(name: string): Promise<string | undefined> {
    const last = this.#history.at(-1);
    const known = this.#written.get(name) ?? (name === MODEL_NAME ? last?.model : last?.state?.[name]);
    if (known !== undefined || name !== MODEL_NAME || last) return known;
    return (await hasGlobalModel(this.#run, 0)) ? globalModelPath(0) : undefined;
  }

  /** The number of models before the current one; its offer has the next number. */
  async modelRound(): Promise<number> {
    return this.#written.has(MODEL_NAME) ? this.round : (this.#history.at(-1)?.round ?? 0);
  }

  /**
   * The files for the next line of the journal. Throws `not-found` where there is no model, unless
   * that is as it should be.
   */
  async entry(withoutModel = false): Promise<Pick<JournalEntry, 'round' | 'model' | 'state'>> {
    const model = await this.file(MODEL_NAME);
    if (model === undefined && !withoutModel) throw new FedStreamError('not-found', 'the run has no initial model to begin with');
    const names = (await this.names()).filter((name) => name !== MODEL_NAME);
    const state: Record<string, string> = {};
    for (const name of names) state[name] = (await this.file(name)) as string;
    return { round: this.round, ...(model !== undefined && { model }), ...(names.length > 0 && { state }) };
  }

  /** Called once the journal has the entry: the writes since the last commit now count. */
  committed(): void {
    this.#written.clear();
  }

  /**
   * Removes files that no line of the journal needs, except the models of the rounds in `keep`, the
   * files in `needed`, and writes since the last commit.
   */
  async prune(keep: readonly number[], needed: readonly string[]): Promise<void> {
    const last = this.#history.at(-1) as JournalEntry;
    await pruneGlobalModels(this.#run, keep, [...(last.model === undefined ? [] : [last.model]), ...this.#written.values(), ...needed]);
    // What belongs to a model is kept as long as the model itself.
    const beside = this.#history.flatMap(({ round, state }) => (keep.includes(round) ? (state?.[LORA_KEPT] ?? []) : []));
    const kept = new Set([...Object.values(last.state ?? {}), ...beside, ...this.#written.values()]);
    for (const name of await this.#run.list(STATE_FOLDER))
      if (!kept.has(`${STATE_FOLDER}/${name}`)) await this.#run.remove(`${STATE_FOLDER}/${name}`);
  }
}
