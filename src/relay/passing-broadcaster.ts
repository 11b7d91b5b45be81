// Broadcasts of a relay: its sites are given the very objects that came from above, and hold the same
// bits as if they had fetched them there.
import type { CodecTable } from '../codec/codec.js';
import { ownEncoding } from '../codec/float32.js';
import { encodeModel } from '../codec/quantize.js';
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import type { TaskModel } from '../exchange/task.js';
import type { Broadcast, Broadcaster, OfferedObject } from '../server/broadcast.js';
import { openSafetensors } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { objectBytes, objectSource } from '../transfer/object.js';
import type { PassedObjects } from './passed-objects.js';

/** Options of `PassingBroadcaster`. */
export interface PassingBroadcasterOptions {
  /** The folder of the inner run, whose model is the one that the relay holds. */
  readonly run: Folder;
  readonly codecs: CodecTable;
  readonly objects: PassedObjects;
}

/** The description of a model for the sites, and the objects that it names. */
interface Passed {
  readonly model: TaskModel;
  readonly objects: ReadonlyMap<string, OfferedObject>;
}

/** Passes on the models of tasks from above. */
export class PassingBroadcaster implements Broadcaster {
  readonly #options: PassingBroadcasterOptions;
  #model: TaskModel | undefined;

  constructor(options: PassingBroadcasterOptions) {
    this.#options = options;
  }

  /** Sets the model that the next offer passes on. */
  pass(model: TaskModel): void {
    this.#model = model;
  }

  async prepare(_version: number, _model: StateDict, modelFile: string): Promise<Broadcast> {
    const model = this.#model;
    if (!model) throw new FedStreamError('internal', 'a relay offers no model before it was given one');
    const held = await openSafetensors(this.#options.run, modelFile);
    const passed = await this.#passed(model, held);
    return {
      model: passed.model,
      held,
      exact: true,
      object: async (name) => passed.objects.get(name),
      release: async () => held.close?.(),
    };
  }

  async reopen(): Promise<Broadcast> {
    throw new FedStreamError('not-found', 'a relay keeps no model of an earlier round');
  }

  async needs(): Promise<readonly string[]> {
    return []; // the model itself is that of the last commit
  }

  /**
   * The task's model as this relay can pass it on: updates and start as far as their objects came
   * this way, and the whole model in any case. The digests are those from above.
   */
  async #passed({ digest, whole, start, updates }: TaskModel, held: StateDict): Promise<Passed> {
    const objects = new Map<string, OfferedObject>();
    const bring = async (object: string, brings: OfferedObject['brings']): Promise<number | undefined> => {
      const source = await this.#options.objects.source(object);
      if (source) objects.set(object, { prepared: { source, release: async () => {} }, brings });
      return source?.totalBytes;
    };
    const kept: NonNullable<TaskModel['updates']> = [];
    for (const update of [...(updates ?? [])].reverse()) {
      const bytes = await bring(update.object, kept.length === 0 ? held.manifest : undefined);
      if (bytes === undefined) break;
      kept.unshift({ ...update, bytes });
    }
    // A start is of use only where all the updates that follow it are here.
    const follows = kept.length === (updates ?? []).length;
    const startsHere = kept.length === 0 && follows;
    const startBytes = start?.object === undefined ? undefined : await bring(start.object, startsHere ? held.manifest : undefined);
    const begins = follows && start !== undefined && (start.object === undefined || startBytes !== undefined);
    const wholeBytes = objects.has(whole.object) ? startBytes : await bring(whole.object, held.manifest);
    return {
      model: {
        ...(digest !== undefined && { digest }),
        whole: { object: whole.object, bytes: wholeBytes ?? this.#whole(whole.object, held, startsHere && start?.base === true, objects) },
        ...(begins && { start: { ...start, ...(startBytes !== undefined && { bytes: startBytes }) } }),
        ...(updates && { updates: kept }),
      },
      objects,
    };
  }

  /** Adds the whole model, uncoded, under the name from above; returns its bytes. */
  #whole(object: string, held: StateDict, isBase: boolean, objects: Map<string, OfferedObject>): number {
    const { codecs } = this.#options;
    // A base is exact in its own dtypes; later models have more bits than those hold.
    const model = isBase ? encodeModel(held, ownEncoding(held.manifest), codecs) : held;
    const source = objectSource(model, codecs, object);
    objects.set(object, { prepared: { source, release: async () => {} }, brings: held.manifest });
    return objectBytes(model.manifest, codecs);
  }
}
