// What a site holds of the global model from round to round: the same bits as the server knows it to hold. Bound to a run by its name.
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import type { Folder } from '../core/storage.js';
import { readText, writeText } from '../core/storage-text.js';
import { contentDigest, writeDigested } from '../exchange/content-digest.js';
import { readState } from '../exchange/state-file.js';
import { encodeManifest, parseManifest } from '../tensor/manifest-json.js';
import { openSafetensors } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { type Base, openBase } from './find-base.js';

const stateSchema = z.strictObject({
  /** What another run left is not this one's. */
  run: z.string(),
  /** Of the values (`contentDigest`). */
  digest: z.string(),
  /** A file in the folder; or the label of a base, which stays where it is. */
  file: z.string().optional(),
  base: z.string().optional(),
});

type State = z.output<typeof stateSchema>;

const STATE = 'held.json';
/** Of the server's model, beside a base. */
const MANIFEST = 'manifest.json';

/** A model that is held. */
export interface Held {
  readonly digest: string;
  /** float32, with the note of the dtypes that the trainer is given. Closed by the caller. */
  readonly model: StateDict;
}

export interface SiteHeldOptions {
  /** For this alone. */
  readonly folder: Folder;
  readonly run: string;
  readonly bases: readonly Base[];
  readonly codecs: CodecTable;
}

export class SiteHeld {
  readonly #options: SiteHeldOptions;
  /** The digest of what this process has written, or looked at: it need not be looked at again. */
  #known: string | undefined;

  constructor(options: SiteHeldOptions) {
    this.#options = options;
  }

  /** Undefined where nothing of this run is held, or where a crash of the machine has spoilt it. */
  async current(): Promise<Held | undefined> {
    const { folder, run, codecs } = this.#options;
    const state = await readState(folder, STATE, stateSchema);
    if (state?.run !== run) return undefined;
    const model = await this.#open(state);
    if (!model) return undefined;
    const { digest } = state;
    if (this.#known !== digest && (await contentDigest(model, codecs)) !== digest) {
      await model.close?.();
      return undefined;
    }
    this.#known = digest;
    return { digest, model };
  }

  async #open({ file, base: label }: State): Promise<StateDict | undefined> {
    const { folder, bases, codecs } = this.#options;
    if (file !== undefined) return (await folder.sizeBytes(file)) === undefined ? undefined : openSafetensors(folder, file);
    const base = bases.find((one) => one.label === label);
    const text = await readText(folder, MANIFEST);
    if (!base || text === undefined) return undefined;
    const opened = await openBase(base, parseManifest(new TextEncoder().encode(text), MANIFEST), codecs);
    return typeof opened === 'string' ? undefined : opened;
  }

  /**
   * Writes a raw float32 model in the place of what was held. Where `expected` is given and the values are others, nothing is changed, and undefined
   * is returned. It survives a crash of this process; after one of the machine, `current` tells.
   */
  async keep(model: StateDict, expected?: string): Promise<Held | undefined> {
    const { folder } = this.#options;
    const file = `held-${crypto.randomUUID().slice(0, 13)}.safetensors`;
    const digest = await writeDigested(folder, file, model);
    if (expected !== undefined && digest !== expected) {
      await folder.remove(file);
      return undefined;
    }
    await this.#note({ digest, file }, file);
    return { digest, model: await openSafetensors(folder, file) };
  }

  /** Holds a base where it lies: `model` is what `matchingBase` found. */
  async refer(base: Base, model: StateDict, digest: string): Promise<Held> {
    await writeText(this.#options.folder, MANIFEST, new TextDecoder().decode(encodeManifest(model.manifest)));
    await this.#note({ digest, base: base.label }, MANIFEST);
    return { digest, model };
  }

  async #note(state: Omit<State, 'run'>, needed: string): Promise<void> {
    const { folder, run } = this.#options;
    this.#known = state.digest;
    await writeText(folder, STATE, JSON.stringify({ run, ...state }));
    for (const name of await folder.list()) if (name !== needed && name !== STATE) await folder.remove(name);
  }
}
