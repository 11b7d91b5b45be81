// The parts of a model at a site: what it holds of each, what it owes, and the training that goes on
// while they are exchanged.
import { inOwnDtypes } from '../codec/float32.js';
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import type { Task } from '../exchange/task.js';
import { joinedParts } from '../tensor/model-parts.js';
import type { StateDict } from '../tensor/state-dict.js';
import { type PartPlan, partOfSegment, roundOfSegment, segmentAt } from '../trainer/part-plan.js';
import type { Trainer } from '../trainer/trainer.js';
import { ModelBounds } from './model-bounds.js';
import { PartSession } from './part-session.js';
import { PartStates } from './part-states.js';
import { Residuals } from './residuals.js';
import { SiteHeld } from './site-held.js';
import { holdTaskModel, type TaskModelOptions } from './task-model.js';

/** Options of `SiteParts`. */
export interface SitePartsOptions {
  /** A folder that holds nothing else. */
  readonly folder: Folder;
  readonly run: string;
  readonly trainer: Trainer;
  /** `config.json` of the run, if the trainer is the built-in one. */
  readonly config: string | undefined;
  /** The options for finding a model, without what is of one part. */
  finding(): TaskModelOptions;
}

/** The description of parts in a task. */
type TaskParts = NonNullable<Task['parts']>;

/** The place of one part. */
interface Place {
  readonly held: SiteHeld;
  readonly residuals: Residuals;
  readonly bounds: ModelBounds;
}

/** Everything that a site has of a model that is exchanged in parts. */
export class SiteParts {
  readonly #options: SitePartsOptions;
  readonly #states: PartStates;
  readonly #places = new Map<number, Place>();
  #session: PartSession | undefined;

  constructor(options: SitePartsOptions) {
    const { folder, run } = options;
    this.#options = options;
    this.#states = new PartStates(folder.folder('states'), run, options.finding().codecs);
  }

  residuals(part: number): Residuals {
    return this.#place(part).residuals;
  }

  /**
   * The training at the segment of a task: the one that goes on, one that goes on from what was kept,
   * or one that begins anew from the global model. `begins` is called with that model before it is
   * trained. Resolves once all that the segment merges is on its way to the trainer; `content` says
   * what was received.
   */
  async at(task: Task, begins: (model: StateDict) => Promise<void>): Promise<{ session: PartSession; content: string }> {
    const parts = partsOfTask(task);
    const segment = segmentAt(task.round, parts.part, parts.of);
    const session = await this.#current(task, parts, segment);
    if (!session) return this.#begun(task, parts, segment, begins);
    const before = segment - 1;
    if (before === session.begins) return { session, content: 'nothing' };
    const part = partOfSegment(before, parts.of);
    const content = await this.#receive(task, parts, part);
    session.give(before, () => this.given(part));
    return { session, content };
  }

  /** A part as the site last received it, in the dtypes of the checkpoint. The caller closes it. */
  async given(part: number): Promise<StateDict> {
    const held = await this.#place(part).held.current();
    if (!held) throw new FedStreamError('io', `part ${part} of the model, which this site has received, is not there any more`);
    return inOwnDtypes(held.model, this.#options.finding().codecs);
  }

  /** Receives every part of a task's model; returns the model and what was received. The caller closes it. */
  async whole(task: Task): Promise<{ given: StateDict; held: StateDict; content: string }> {
    const { given, held, contents } = await this.#received(task, partsOfTask(task));
    return { given, held, content: contents };
  }

  /** Ends the training; a later task goes on from what was kept. */
  async stop(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
  }

  /** Ends the training of a task that failed, so that the next one begins anew. */
  async drop({ round, parts }: Task): Promise<void> {
    if (parts) await this.#states.forget(segmentAt(round, parts.part, parts.of));
    await this.stop();
  }

  /** The training that goes on, or that is continued; undefined where the site has to begin anew. */
  async #current(task: Task, parts: TaskParts, segment: number): Promise<PartSession | undefined> {
    // What is sent is the change of the part as the server had it when it was last received; a model in
    // one part is received now.
    const holds = parts.of === 1 ? segment > 1 : (await this.#states.received(parts.part)) === roundOf(parts, parts.part);
    const follows = segment === 1 || roundOf(parts, partOfSegment(segment - 1, parts.of)) === roundOfSegment(segment - 1, parts.of);
    const live = this.#session;
    if (live && holds && follows && !live.isOver && live.next === segment) return live;
    await this.stop();
    if (!holds || !follows) return undefined;
    const kept = await this.#states.before(segment, parts.of);
    if (!kept) return undefined;
    const { done, kind } = kept;
    this.#options.finding().log.info({ round: task.round, done, segment }, 'the training in parts goes on from what was kept');
    const dict = kind === 'model' ? inOwnDtypes(kept.dict, this.#options.finding().codecs) : kept.dict;
    const session = this.#start(task, parts, done, { kind, dict }, await this.#names(parts));
    for (let one = kind === 'state' ? done : done + 1; one < segment - 1; one++)
      session.give(one, () => this.given(partOfSegment(one, parts.of)));
    return session;
  }

  /** A training that begins with the global model. */
  async #begun(task: Task, parts: TaskParts, segment: number, begins: (model: StateDict) => Promise<void>) {
    const { given, held, contents } = await this.#received(task, parts);
    const done = segment - 1;
    if (done > 0)
      this.#options
        .finding()
        .log.warn({ round: task.round, part: parts.part }, 'nothing that was kept leads here; training begins anew from the global model');
    await this.#states.keep({ done, kind: 'model', dict: held });
    await begins(given);
    const session = this.#start(task, parts, done, { kind: 'model', dict: given }, await this.#names(parts));
    return { session, content: contents };
  }

  #start(
    task: Task,
    { of, overlap, alpha }: TaskParts,
    done: number,
    start: { kind: 'model' | 'state'; dict: StateDict },
    parts: ReadonlySet<string>[],
  ) {
    const plan: PartPlan = { of, overlap, alpha };
    const { trainer, finding } = this.#options;
    const session = new PartSession({
      trainer,
      plan,
      parts,
      rounds: task.rounds,
      done,
      start,
      signal: finding().signal,
      keep: (after, state) => this.#states.keep({ done: after, kind: 'state', dict: state }),
    });
    this.#session = session;
    return session;
  }

  async #names({ of }: TaskParts): Promise<ReadonlySet<string>[]> {
    const names: ReadonlySet<string>[] = [];
    for (let part = 1; part <= of; part++) {
      const given = await this.given(part);
      names.push(new Set(given.manifest.tensors.map(({ name }) => name)));
      await given.close?.();
    }
    return names;
  }

  /** Receives every part. */
  async #received(task: Task, parts: TaskParts): Promise<{ given: StateDict; held: StateDict; contents: string }> {
    const contents: string[] = [];
    const rounds: Record<number, number> = {};
    for (let part = 1; part <= parts.of; part++) {
      contents.push(await this.#hold(task, parts, part));
      rounds[part] = roundOf(parts, part);
    }
    await this.#states.note(rounds);
    const all = Array.from({ length: parts.of }, (_, index) => index + 1);
    const held: StateDict[] = [];
    for (const part of all) held.push(((await this.#place(part).held.current()) as { model: StateDict }).model);
    const { codecs } = this.#options.finding();
    const model = joinedParts(held);
    return { held: model, given: inOwnDtypes(model, codecs), contents: contents.join(' ') };
  }

  /** Receives one part, whose values a segment has led to. */
  async #receive(task: Task, parts: TaskParts, part: number): Promise<string> {
    const content = await this.#hold(task, parts, part);
    await this.#states.note({ [part]: roundOf(parts, part) });
    return content;
  }

  async #hold(task: Task, { of, models }: TaskParts, part: number): Promise<string> {
    const { held, bounds } = this.#place(part);
    const { model } = models[part - 1] as TaskParts['models'][number];
    return holdTaskModel({ ...task, model }, { ...this.#options.finding(), held, bounds, part: { part, of } });
  }

  #place(part: number): Place {
    const known = this.#places.get(part);
    if (known) return known;
    const { folder, run, config, finding } = this.#options;
    const { bases, codecs } = finding();
    const place = {
      held: new SiteHeld({ folder: folder.folder(`held-${part}`), run, bases, codecs }),
      residuals: new Residuals(folder.folder(`residual-${part}`), run),
      bounds: new ModelBounds(codecs, config),
    };
    this.#places.set(part, place);
    return place;
  }
}

/** The round in which a part of a task became what it is. */
function roundOf({ models }: TaskParts, part: number): number {
  return (models[part - 1] as TaskParts['models'][number]).round;
}

/** Throws `bad-frame` for a task whose parts contradict each other. */
function partsOfTask({ id, parts, round }: Task): TaskParts {
  if (!parts || parts.models.length !== parts.of || parts.part > parts.of)
    throw new FedStreamError('bad-frame', `the task ${id} does not say what the parts of its model are`);
  if (parts.models.some((one) => one.round > round)) throw new FedStreamError('bad-frame', `the task ${id} has parts of a later round`);
  return parts;
}
