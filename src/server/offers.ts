// The offers of a round: the global model, and the extras of tasks. Many sites fetch each, at their
// own pace.
import type { CodecTable } from '../codec/codec.js';
import { inFloat32, ownEncoding, refuseUnaveraged } from '../codec/float32.js';
import { decodeModel, encodeModel } from '../codec/quantize.js';
import { FedStreamError } from '../core/errors.js';
import type { Table } from '../core/row.js';
import type { Folder } from '../core/storage.js';
import { contentDigest } from '../exchange/content-digest.js';
import { codedExtras } from '../exchange/extras-coding.js';
import type { TaskModel } from '../exchange/task.js';
import { broadcastsUpdates, frozenIn, ownFilters } from '../filter/chain.js';
import type { Coding } from '../filter/coding.js';
import type { Filter } from '../filter/filter.js';
import type { Job } from '../job/job.js';
import { checkExtraNames } from '../tensor/extra-names.js';
import { joinDicts, type NamedDicts } from '../tensor/named-dicts.js';
import { openSafetensors } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { objectBytes, objectSource } from '../transfer/object.js';
import { spoolSource, writeSpool } from '../transfer/spool.js';
import type { Offer, OfferedPart, OfferOptions } from '../workflow/federation.js';
import type { Broadcast, Broadcaster, OfferedObject } from './broadcast.js';
import { globalModelPath } from './global-models.js';
import { KeptBroadcaster } from './kept-broadcaster.js';
import type { RunModels } from './model-store.js';
import { UpdateBroadcaster } from './update-broadcaster.js';
import { WholeBroadcaster } from './whole-broadcaster.js';

/** An offer, with the model that it was made from. */
export interface LiveOffer extends Offer {
  readonly broadcast: Broadcast;
  /** The server's own model. */
  readonly master: StateDict;
  /** The files of the run folder that the offer is read from: `master`'s, and that of `held` if it is another. */
  readonly files: { readonly master: string; readonly held?: string | undefined };
  /** Sites that had the model without a transfer. */
  readonly having: Set<string>;
}

/** An offer of an earlier round, as an ask that outlived it has noted it. */
export interface EarlierOffer {
  readonly round: number;
  readonly model: TaskModel;
  readonly files: LiveOffer['files'];
  /** The folder for spools of its round. */
  readonly folder: Folder;
}

/** Options of `Offers`. */
export interface OffersOptions {
  readonly job: Job;
  readonly run: Folder;
  readonly codecs: CodecTable;
  readonly filters: Table<Filter>;
  readonly models: RunModels;
  /** Broadcasts in place of the job's own way; for a run that passes on what another server sends. */
  readonly broadcaster?: Broadcaster | undefined;
  /** As `RunOptions.sitesHold`. */
  readonly sitesHold?: boolean | undefined;
  /** The folder for spools of the current round. */
  folder(): Folder;
}

/** The description of a task's extras. */
interface ExtrasObject {
  readonly object: string;
  readonly bytes: number;
}

/** Makes the offers of a round and finds the objects that sites fetch. */
export class Offers {
  readonly #options: OffersOptions;
  /** By the name of the part; '' for the whole model. */
  readonly #broadcasters = new Map<string, Broadcaster>();
  readonly #live = new Map<string, Promise<LiveOffer>>();
  readonly #extras = new Map<NamedDicts, Promise<ExtrasObject>>();
  readonly #objects = new Map<string, OfferedObject>();
  /** Offers of earlier rounds that sites are still at work on. */
  readonly #kept = new Set<LiveOffer>();
  /** The number of spools of extras begun in this round; two may be written at the same time. */
  #extrasSpools = 0;

  constructor(options: OffersOptions) {
    this.#options = options;
    if (options.broadcaster) this.#broadcasters.set('', options.broadcaster);
  }

  /** Returns the same offer for the same arguments, until the release. */
  async offer({ first, exactly, part, model, as = 'model' }: OfferOptions = {}): Promise<LiveOffer> {
    if (model) return this.#alone(model, as);
    const version = part?.version ?? (await this.#options.models.modelRound()) + 1;
    const key = exactly ?? (part ? `${part.name} ${version}` : String(version));
    const known = this.#live.get(key);
    if (known) return known;
    const made = exactly ? this.#exactly(exactly === 'base') : this.#broadcast(version, first, part);
    this.#live.set(key, made);
    // One that failed is made anew: a full disk may have room later.
    made.catch(() => this.#live.delete(key));
    return made;
  }

  /** Codes extras once, however many sites are given the same ones. */
  extras(dicts: NamedDicts): Promise<ExtrasObject> {
    const made = this.#extras.get(dicts) ?? this.#prepareExtras(dicts);
    this.#extras.set(dicts, made);
    made.catch(() => this.#extras.delete(dicts));
    return made;
  }

  /** The object of that name; undefined once its round is over. */
  async object(name: string): Promise<OfferedObject | undefined> {
    const extras = this.#objects.get(name);
    if (extras) return extras;
    for (const live of this.#live.values()) {
      const found = await (await live).broadcast.object(name);
      if (found) return found;
    }
    for (const kept of this.#kept) {
      const found = await kept.broadcast.object(name);
      if (found) return found;
    }
    return undefined;
  }

  /** Opens the offer of an earlier round again after a crash. Rejects where its files are gone. */
  async reopen({ round, model, files, folder }: EarlierOffer): Promise<LiveOffer> {
    const { run } = this.#options;
    if ((await run.sizeBytes(files.master)) === undefined) throw new FedStreamError('not-found', `${files.master} is gone`);
    const master = await openSafetensors(run, files.master);
    try {
      const broadcast = await this.#broadcasterOf(undefined, undefined).reopen({ version: round, master, model, file: files.held, folder });
      const made = live({ ...broadcast, model }, master, files.master);
      this.#kept.add(made);
      return made;
    } catch (error) {
      await master.close?.();
      throw error;
    }
  }

  /** Files of the run folder from which the offers are made. */
  async needs(): Promise<readonly string[]> {
    const needed = await Promise.all([...this.#broadcasters.values()].map((one) => one.needs()));
    return [...needed.flat(), ...this.#inUse().files, ...[...this.#kept].map(({ files }) => files.master)];
  }

  /** The files of models that sites hold and the objects that they may fetch, of earlier rounds that they are still at work on. */
  #inUse(): { readonly files: ReadonlySet<string>; readonly objects: ReadonlySet<string> } {
    const kept = [...this.#kept];
    return {
      files: new Set(kept.flatMap(({ files: { held } }) => held ?? [])),
      objects: new Set(
        kept.flatMap(({ model: { start, updates = [] } }) => [start?.object ?? [], updates.map(({ object }) => object)].flat()),
      ),
    };
  }

  /** Marks the offers that stay after their round; called before each commit. */
  keep(offers: ReadonlySet<LiveOffer>): void {
    for (const offer of offers) this.#kept.add(offer);
  }

  /** Ends every offer but those of asks that are still open. */
  async release(open: ReadonlySet<LiveOffer> = new Set()): Promise<void> {
    const earlier = [...this.#kept].filter((kept) => !open.has(kept));
    for (const kept of earlier) this.#kept.delete(kept);
    for (const { broadcast, master } of earlier) {
      await broadcast.release();
      await master.close?.();
    }
    const live = [...this.#live.values()];
    this.#live.clear();
    this.#extras.clear();
    this.#objects.clear();
    this.#extrasSpools = 0;
    for (const one of live) {
      const made = await one.catch(() => undefined);
      if (!made || open.has(made) || earlier.includes(made)) continue;
      await made?.broadcast.release();
      await made?.master.close?.();
    }
  }

  async #broadcast(version: number, first: Coding['first'], part: OfferedPart | undefined): Promise<LiveOffer> {
    const { models } = this.#options;
    const master = await (part ? part.open() : models.open('model'));
    refuseUnaveraged(master.manifest);
    const file = (await models.file('model')) ?? globalModelPath(version - 1);
    const broadcaster = this.#broadcasterOf(first, part?.name);
    return live(await broadcaster.prepare(version, master, part ? undefined : file), master, file);
  }

  #broadcasterOf(first: Coding['first'], part: string | undefined): Broadcaster {
    const name = part ?? '';
    const broadcaster = this.#broadcasters.get(name) ?? this.#makeBroadcaster(first, part);
    this.#broadcasters.set(name, broadcaster);
    return broadcaster;
  }

  #makeBroadcaster(first: Coding['first'], part: string | undefined): Broadcaster {
    const { job, run, codecs, folder, filters, sitesHold = false } = this.#options;
    if (broadcastsUpdates(job, codecs))
      return new UpdateBroadcaster({
        coding: { ...job.quantize, first: first ?? job.quantize.first },
        run,
        codecs,
        part,
        isFrozen: frozenIn(job),
        inUse: () => this.#inUse(),
      });
    const own = { out: ownFilters(job, 'task-out', filters), in: ownFilters(job, 'task-in', filters) };
    const whole = new WholeBroadcaster({ job, codecs, ...own, folder: () => (part === undefined ? folder() : folder().folder(part)) });
    return sitesHold ? new KeptBroadcaster(whole, codecs) : whole;
  }

  async #exactly(asBase: boolean): Promise<LiveOffer> {
    const { codecs, models } = this.#options;
    const model = await models.open('model');
    const start = asBase ? { digest: await contentDigest(model, codecs), base: true } : undefined;
    const object = `exact-${crypto.randomUUID().slice(0, 13)}`;
    const prepared = { source: objectSource(model, codecs, object), release: async () => {} };
    const broadcast: Broadcast = {
      model: { whole: { object, bytes: objectBytes(model.manifest, codecs) }, ...(start && { start, digest: start.digest }) },
      held: model,
      exact: true,
      object: async (name) => (name === object ? { prepared, brings: model.manifest } : undefined),
      release: async () => {},
    };
    return live(broadcast, model, (await models.file('model')) as string);
  }

  /** A state dict for one task, in its own dtypes; whoever offers it closes it. */
  async #alone(model: StateDict, as: string): Promise<LiveOffer> {
    const { codecs } = this.#options;
    const coded = encodeModel(model, ownEncoding(model.manifest), codecs);
    const object = `alone-${as}-${crypto.randomUUID().slice(0, 13)}`;
    const prepared = { source: objectSource(coded, codecs, object), release: async () => {} };
    const held = decodeModel(inFloat32(coded), codecs);
    const broadcast: Broadcast = {
      model: { whole: { object, bytes: objectBytes(coded.manifest, codecs) } },
      held,
      exact: false,
      object: async (name) => (name === object ? { prepared, brings: held.manifest } : undefined),
      release: async () => {},
    };
    const made = live(broadcast, { ...model, close: async () => {} }, '');
    this.#live.set(object, Promise.resolve(made));
    return made;
  }

  async #prepareExtras(dicts: NamedDicts): Promise<ExtrasObject> {
    const { job, codecs, filters, models } = this.#options;
    checkExtraNames(Object.keys(dicts), 'a task');
    const folder = this.#options.folder();
    const setting = { job, codecs, filters, site: 'every site', round: models.round };
    const joined = joinDicts(await codedExtras(dicts, 'task-out', setting));
    const spool = `extras-${this.#extrasSpools++}.spool`;
    const info = await writeSpool(joined, codecs, folder, spool, { durable: false });
    // The object is named by its digest: after a crash it has the same name, and an interrupted
    // transfer resumes.
    const object = `extras-${info.digest}`;
    const prepared = { source: spoolSource(folder, spool, info), release: async () => {} };
    this.#objects.set(object, { prepared, brings: joined.manifest });
    return { object, bytes: info.totalBytes };
  }
}

function live(broadcast: Broadcast, master: StateDict, file: string): LiveOffer {
  const { model, held, exact, file: heldFile } = broadcast;
  return { model, held, exact, broadcast, master, files: { master: file, held: heldFile }, having: new Set() };
}
