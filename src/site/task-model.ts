// The model of a task at the site: the held model brought up to date by updates, a base that the
// site has, or the whole model.
import type { CodecTable } from '../codec/codec.js';
import { inFloat32, inOwnDtypes } from '../codec/float32.js';
import { decodeModel, poolFor } from '../codec/quantize.js';
import { FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { contentDigest } from '../exchange/content-digest.js';
import { ownRank } from '../exchange/lora-task.js';
import { reduceChunks } from '../exchange/reduce.js';
import type { Task, TaskModel } from '../exchange/task.js';
import { applyFilters, type Filter } from '../filter/filter.js';
import type { Manifest } from '../tensor/manifest.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import { partManifest } from '../tensor/model-parts.js';
import { replacedBy, selectTensors } from '../tensor/select-tensors.js';
import type { ChunkRange, StateDict } from '../tensor/state-dict.js';
import { type Base, matchingBase } from './find-base.js';
import { type LocalTensors, withLocal } from './local-tensors.js';
import type { FetchBounds, ModelBounds } from './model-bounds.js';
import type { ReceivedModel, ServerLink } from './server-link.js';
import type { Held, SiteHeld } from './site-held.js';

/** Options for finding a task's model. */
export interface TaskModelOptions {
  readonly site: string;
  readonly link: Pick<ServerLink, 'fetchModel' | 'fetchManifest' | 'hasBase'>;
  readonly codecs: CodecTable;
  readonly log: Logger;
  readonly held: SiteHeld;
  readonly bases: readonly Base[];
  /** Bounds on the objects that the task names. */
  readonly bounds: ModelBounds;
  readonly signal: AbortSignal;
  /** The job's own filters at `task-in`. */
  readonly filters: readonly Filter[];
  /** Tensors that live on at this site, for a task of the round. */
  readonly local?: LocalTensors;
  /** The part of the model that is looked for, and their number; without it, the whole model. */
  readonly part?: { readonly part: number; readonly of: number } | undefined;
  /** True for a tensor that never changes in this run: updates come without it. */
  readonly isFrozen?: ((name: string) => boolean) | undefined;
}

/** The model that a trainer is given; it can be read as often as needed until it is released. */
export interface GivenModel {
  /** The model in the dtypes of the checkpoint. */
  readonly given: StateDict;
  /** The same as the server has it: float32, with a note of those dtypes. */
  readonly held: StateDict;
  /** A digest of what was found or has arrived, not one that the server only states. */
  readonly content: string;
  /** True where some of its tensors are the site's own. */
  readonly hasLocal: boolean;
  release(): Promise<void>;
}

type Step = NonNullable<TaskModel['updates']>[number];

/** Fetches or finds the model of a task, and filters it as the job says. */
export async function receiveTaskModel(task: Task, options: TaskModelOptions): Promise<GivenModel> {
  const { model } = task;
  if (!model) throw new FedStreamError('bad-frame', `task ${task.id} names no model`);
  const found = await new ModelFinder(task, model, options).find();
  const context = { point: 'task-in', site: options.site, round: task.round, codecs: options.codecs, count: () => {} } as const;
  const filtered = ownRank(await applyFilters(found.model, options.filters, context), task.figures, options.codecs);
  // A model that is only evaluated is that of its round's end.
  const round = task.kind === 'train' ? task.round : task.round + 1;
  const local = await options.local?.before(round, filtered);
  const release = async (): Promise<void> => {
    await local?.close?.();
    await found.release();
  };
  const given = inOwnDtypes(local ? withLocal(filtered, local) : filtered, options.codecs);
  return { given, held: filtered, content: found.content, hasLocal: local !== undefined, release };
}

/**
 * Fetches or finds the model of a task, and holds it, float32, whatever way it came. Returns the digest
 * of what was found or has arrived.
 */
export async function holdTaskModel(task: Task, options: TaskModelOptions): Promise<string> {
  const { model } = task;
  if (!model) throw new FedStreamError('bad-frame', `task ${task.id} names no model`);
  const found = await new ModelFinder(task, model, options).find();
  try {
    if (model.updates) return found.content;
    const context = { point: 'task-in', site: options.site, round: task.round, codecs: options.codecs, count: () => {} } as const;
    const filtered = await applyFilters(found.model, options.filters, context);
    const held = await options.held.keep(decodeModel(inFloat32(filtered), options.codecs));
    await held?.model.close?.();
    return found.content;
  } finally {
    await found.release();
  }
}

/**
 * Tells whether the site has the model that the run begins with; if so, the site holds it from then
 * on.
 */
export async function hasBase(task: Task, options: TaskModelOptions): Promise<boolean> {
  if (!task.model?.start) return false;
  const { digest } = task.model.start;
  const current = await options.held.current();
  if (current) await current.model.close?.();
  if (current?.digest === digest) return true;
  const found = await new ModelFinder(task, task.model, options).base();
  await found?.model.close?.();
  return found !== undefined;
}

interface Found {
  /** float32. */
  readonly model: StateDict;
  readonly content: string;
  release(): Promise<void>;
}

class ModelFinder {
  readonly #task: Task;
  readonly #model: TaskModel;
  readonly #options: TaskModelOptions;

  constructor(task: Task, model: TaskModel, options: TaskModelOptions) {
    this.#task = task;
    this.#model = model;
    this.#options = options;
  }

  async find(): Promise<Found> {
    const { updates, start, digest } = this.#model;
    const isStart = digest === undefined || digest === start?.digest;
    if (!updates) return (isStart ? await this.#base(start, false) : undefined) ?? (await this.#whole());
    const held = await this.#upToDate(updates);
    return { model: held.model, content: held.digest, release: async () => held.model.close?.() };
  }

  /** The model that the run begins with, where the site has it. */
  base(): Promise<Found | undefined> {
    return this.#base(this.#model.start, true);
  }

  /** Brings the held model up to date, with the fewest bytes possible. */
  async #upToDate(updates: readonly Step[]): Promise<Held> {
    const { digest, start, whole } = this.#model;
    if (digest === undefined) throw new FedStreamError('bad-frame', `task ${this.#task.id} does not say what its model's values are`);
    const { bounds } = this.#options;
    const current = await this.#options.held.current();
    if (current) bounds.note(current.model.manifest);
    if (current?.digest === digest) {
      if (updates.length === 0) await this.#tellOfBase();
      return current;
    }
    const next = current ? updates.findIndex(({ from }) => from === current.digest) : -1;
    const missing = next < 0 ? [] : updates.slice(next);
    if (current && missing.length > 0 && bytesOf(missing) < bounds.most(whole.bytes)) {
      const reached = await this.#replay(current.model, missing, digest);
      if (reached) return reached;
    }
    await current?.model.close?.();
    const begun =
      bytesOf(updates) + (start?.bytes ?? 0) < bounds.most(whole.bytes) || updates.length === 0 ? await this.#begun(start) : undefined;
    if (begun?.digest === digest) return begun;
    // No update leads from the start to another model: the task contradicts itself.
    if (begun && updates.length === 0) await begun.model.close?.();
    else if (begun) {
      const reached = await this.#replay(begun.model, updates, digest);
      if (reached) return reached;
    }
    return this.#keepWhole(digest);
  }

  /** The model that the run began with: from a base of the site's own, or fetched. */
  async #begun(start: TaskModel['start']): Promise<Held | undefined> {
    const base = await this.#base(start, true);
    if (base) return { digest: (start as { digest: string }).digest, model: base.model };
    if (start?.object === undefined || start.object === this.#model.whole.object) return undefined;
    const bounds = this.#options.bounds.whole(start.bytes);
    const received = await this.#fetch(start.object, 'the start of the run', bounds);
    try {
      return await this.#options.held.keep(decodeModel(inFloat32(received.model), this.#options.codecs), start.digest);
    } finally {
      await received.release();
    }
  }

  /**
   * Adds updates one after the other, in one pass: the same bits as if each had been added on
   * arrival.
   */
  async #replay(from: StateDict, steps: readonly Step[], digest: string): Promise<Held | undefined> {
    const { codecs, log } = this.#options;
    const received: ReceivedModel[] = [];
    const { isFrozen } = this.#options;
    const changing = isFrozen ? selectTensors(from, ({ name }) => !isFrozen(name)) : from;
    try {
      for (const { object, bytes } of steps) {
        const bounds = this.#options.bounds.update(bytes, changing.manifest);
        received.push(await this.#fetch(object, 'an update of the global model', bounds));
      }
      for (const { model } of received) sameTensors(changing.manifest, model.manifest, 'the update of the global model');
      const addends = received.map(({ model }) => ({ model, weight: 1 }));
      const sum = { addends, base: changing, codecs, pool: poolFor(from, codecs), what: 'the global model', passed: addends.length - 1 };
      const changed = { manifest: changing.manifest, chunks: (range?: ChunkRange) => reduceChunks(sum, range) };
      const kept = await this.#options.held.keep(isFrozen ? replacedBy(from, changed) : changed, digest);
      if (!kept)
        log.warn({ round: this.#task.round }, "the held model with the updates added differs from the server's; fetching the whole model");
      return kept;
    } finally {
      await from.close?.();
      for (const one of received) await one.release();
    }
  }

  async #keepWhole(digest: string): Promise<Held> {
    const { model, release } = await this.#fetchWhole();
    try {
      const kept = await this.#options.held.keep(decodeModel(inFloat32(model), this.#options.codecs), digest);
      if (kept) return kept;
    } finally {
      await release();
    }
    throw this.#otherValues();
  }

  #otherValues(): FedStreamError {
    return new FedStreamError('digest', `the global model that arrived for ${this.#task.id} has other values than the server says`);
  }

  /** Tells the server that the model did not travel, except in a task that only asks about it. */
  async #tellOfBase(): Promise<void> {
    if (this.#task.kind !== 'base') await this.#options.link.hasBase(this.#task.id);
  }

  async #whole(): Promise<Found> {
    const { codecs } = this.#options;
    const { digest } = this.#model;
    const { model: coded, figures, release } = await this.#fetchWhole();
    const model = decodeModel(inFloat32(coded), codecs);
    try {
      // A server that keeps no models states no digest, so this pass over the values is rare.
      if (digest !== undefined && (await contentDigest(model, codecs)) !== digest) throw this.#otherValues();
    } catch (error) {
      await release();
      throw error;
    }
    return { model, content: figures.digest, release };
  }

  /** The objects that the task names; spools of other objects are left over from other tasks. */
  #objects(): string[] {
    const { whole, start, updates = [] } = this.#model;
    return [whole.object, ...(start?.object === undefined ? [] : [start.object]), ...updates.map(({ object }) => object)];
  }

  #fetchWhole(): Promise<ReceivedModel> {
    const { object, bytes } = this.#model.whole;
    return this.#fetch(object, 'the global model', this.#options.bounds.whole(bytes));
  }

  async #fetch(object: string, what: string, bounds: FetchBounds): Promise<ReceivedModel> {
    const { link, log } = this.#options;
    const received = await link.fetchModel(object, this.#objects(), bounds);
    log.info({ round: this.#task.round, object, ...received.figures }, `received ${what}`);
    return received;
  }

  /** The first of the site's own models that equals the one that the run began with. */
  async #base(start: TaskModel['start'], keep: boolean): Promise<Found | undefined> {
    const { bases, link, log, codecs, signal } = this.#options;
    if (!start?.base || bases.length === 0) return undefined;
    const whole: Manifest = await link.fetchManifest();
    const { part } = this.#options;
    const wanted = part ? partManifest(whole, part.part, part.of) : whole;
    for (const base of bases) {
      const model = await matchingBase(base, wanted, start.digest, codecs).catch((error: Error) => {
        if (signal.aborted) throw error;
        return error.message;
      });
      if (typeof model === 'string') {
        log.info({ base: base.label }, `the model that is here is not the one that the run begins with: ${model}`);
        continue;
      }
      log.info({ base: base.label }, 'the model that the run begins with is here already; nothing of it travels');
      await this.#tellOfBase();
      const content = start.digest;
      if (!keep) return { model, content, release: async () => model.close?.() };
      if (base.stays) {
        const held = await this.#options.held.refer(base, model, start.digest);
        return { model: held.model, content, release: async () => {} };
      }
      const held = await this.#options.held.keep(model, start.digest);
      await model.close?.();
      return held && { model: held.model, content, release: async () => {} };
    }
    return undefined;
  }
}

function bytesOf(steps: readonly Step[]): number {
  return steps.reduce((sum, { bytes }) => sum + bytes, 0);
}
