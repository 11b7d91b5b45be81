// The global model that a site holds from round to round, with the same bits that the server has
// recorded for it. Bound to a run by its name.

import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { jsonText } from '../core/json-text.js';
import type { Folder } from '../core/storage.js';
import { readText, writeText } from '../core/storage-text.js';
import { contentDigest, writeDigested } from '../exchange/content-digest.js';
import { readState } from '../exchange/state-file.js';
import { encodeManifest, parseManifest } from '../tensor/manifest-json.js';
import { openSafetensors } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { withFile } from '../tensor/stored-file.js';
import { type Base, openBase } from './find-base.js';

const stateSchema = z.strictObject({
  /** The name of the run; a model that another run left is not used. */
  run: z.string(),
  /** Digest of the values (`contentDigest`). */
  digest: z.string(),
  /** A file in the folder; or the label of a base, which stays in its own place. */
  file: z.string().optional(),
  base: z.string().optional(),
});

type State = z.output<typeof stateSchema>;

const STATE = 'held.json';
/** The manifest of the server's model, kept beside a reference to a base. */
const MANIFEST = 'manifest.json';

/** As the model itself: after a crash of the machine the site takes what it lacks from the server. */
const NOT_SYNCED = { durable: false };

/** A held model and its digest. */
export interface Held {
  readonly digest: string;
  /** float32, with the note of the dtypes that the trainer is given. The caller closes it. */
  readonly model: StateDict;
}

/** Options of `SiteHeld`. */
export interface SiteHeldOptions {
  /** A folder that holds nothing else. */
  readonly folder: Folder;
  readonly run: string;
  readonly bases: readonly Base[];
  readonly codecs: CodecTable;
}

/** The global model that a site holds, on disk. */
export class SiteHeld {
  readonly #options: SiteHeldOptions;
  /** What this process has written or verified, and need not verify again as long as nobody writes to it. */
  #known: { readonly digest: string; readonly stamp: string | undefined } | undefined;

  constructor(options: SiteHeldOptions) {
    this.#options = options;
  }

  /**
   * The held model; undefined where nothing of this run is held, or where a crash of the machine
   * damaged it.
   */
  async current(): Promise<Held | undefined> {
    const { folder, run, codecs } = this.#options;
    const state = await readState(folder, STATE, stateSchema);
    if (state?.run !== run) return undefined;
    const model = await this.#open(state);
    if (!model) return undefined;
    const { digest } = state;
    const stamp = await this.#stampOf(state);
    const isKnown = this.#known?.digest === digest && this.#known.stamp === stamp;
    if (!isKnown && (await contentDigest(model, codecs)) !== digest) {
      await model.close?.();
      return undefined;
    }
    this.#known = { digest, stamp };
    return { digest, model };
  }

  async #open({ file, base: label }: State): Promise<StateDict | undefined> {
    const { folder, bases, codecs } = this.#options;
    if (file !== undefined) return (await folder.sizeBytes(file)) === undefined ? undefined : this.#openOwn(file);
    const base = bases.find((one) => one.label === label);
    const text = await readText(folder, MANIFEST);
    if (!base || text === undefined) return undefined;
    const opened = await openBase(base, parseManifest(new TextEncoder().encode(text), MANIFEST), codecs);
    return typeof opened === 'string' ? undefined : opened;
  }

  /** A trainer may be given the file itself. */
  async #openOwn(name: string): Promise<StateDict> {
    const { folder } = this.#options;
    return withFile(await openSafetensors(folder, name), { folder, name });
  }

  async #stampOf({ file }: Pick<State, 'file'>): Promise<string | undefined> {
    return file === undefined ? undefined : this.#options.folder.stamp?.(file);
  }

  /**
   * Writes a raw float32 model in place of the held one. If the values do not have the digest
   * `expected`, nothing is changed and undefined is returned. The file survives a crash of this
   * process; after a crash of the machine, `current` detects damage.
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
    return { digest, model: await this.#openOwn(file) };
  }

  /** Holds a base in its own place; `model` is the result of `matchingBase`. */
  async refer(base: Base, model: StateDict, digest: string): Promise<Held> {
    await writeText(this.#options.folder, MANIFEST, new TextDecoder().decode(encodeManifest(model.manifest)), NOT_SYNCED);
    await this.#note({ digest, base: base.label }, MANIFEST);
    return { digest, model };
  }

  async #note(state: Omit<State, 'run'>, needed: string): Promise<void> {
    const { folder, run } = this.#options;
    this.#known = { digest: state.digest, stamp: await this.#stampOf(state) };
    await writeText(folder, STATE, jsonText({ run, ...state }, STATE), NOT_SYNCED);
    for (const name of await folder.list()) if (name !== needed && name !== STATE) await folder.remove(name);
  }
}
