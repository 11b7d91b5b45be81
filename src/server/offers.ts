// The offers of a round: the global model, and the extras of tasks. Many sites fetch each, at their
// own pace.
import type { CodecTable } from '../codec/codec.js';
import { refuseUnaveraged } from '../codec/float32.js';
import type { Table } from '../core/row.js';
import type { Folder } from '../core/storage.js';
import { contentDigest } from '../exchange/content-digest.js';
import { codedExtras } from '../exchange/extras-coding.js';
import { broadcastsUpdates, ownFilters } from '../filter/chain.js';
import type { Coding } from '../filter/coding.js';
import type { Filter } from '../filter/filter.js';
import type { Job } from '../job/job.js';
import { checkExtraNames } from '../tensor/extra-names.js';
import { joinDicts, type NamedDicts } from '../tensor/named-dicts.js';
import type { StateDict } from '../tensor/state-dict.js';
import { objectBytes, objectSource } from '../transfer/object.js';
import { spoolSource, writeSpool } from '../transfer/spool.js';
import type { Offer, OfferOptions } from '../workflow/federation.js';
import type { Broadcast, Broadcaster, OfferedObject } from './broadcast.js';
import { globalModelPath } from './global-models.js';
import type { RunModels } from './model-store.js';
import { UpdateBroadcaster } from './update-broadcaster.js';
import { WholeBroadcaster } from './whole-broadcaster.js';

/** An offer, with the model that it was made from. */
export interface LiveOffer extends Offer {
  readonly broadcast: Broadcast;
  /** The server's own model. */
  readonly master: StateDict;
  /** Sites that had the model without a transfer. */
  readonly having: Set<string>;
}

/** Options of `Offers`. */
export interface OffersOptions {
  readonly job: Job;
  readonly run: Folder;
  readonly codecs: CodecTable;
  readonly filters: Table<Filter>;
  readonly models: RunModels;
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
  #broadcaster: Broadcaster | undefined;
  readonly #live = new Map<string, Promise<LiveOffer>>();
  readonly #extras = new Map<NamedDicts, Promise<ExtrasObject>>();
  readonly #objects = new Map<string, OfferedObject>();
  /** The number of spools of extras begun in this round; two may be written at the same time. */
  #extrasSpools = 0;

  constructor(options: OffersOptions) {
    this.#options = options;
  }

  /** Returns the same offer for the same arguments, until the release. */
  async offer({ first, exactly }: OfferOptions = {}): Promise<LiveOffer> {
    const version = (await this.#options.models.modelRound()) + 1;
    const key = exactly ?? String(version);
    const known = this.#live.get(key);
    if (known) return known;
    const made = exactly ? this.#exactly(exactly === 'base') : this.#broadcast(version, first);
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
    return undefined;
  }

  /** Files of the run folder from which the offers are made. */
  async needs(): Promise<readonly string[]> {
    return (await this.#broadcaster?.needs()) ?? [];
  }

  /** Ends every offer. */
  async release(): Promise<void> {
    const live = [...this.#live.values()];
    this.#live.clear();
    this.#extras.clear();
    this.#objects.clear();
    this.#extrasSpools = 0;
    for (const one of live) {
      const made = await one.catch(() => undefined);
      await made?.broadcast.release();
      await made?.master.close?.();
    }
  }

  async #broadcast(version: number, first: Coding['first']): Promise<LiveOffer> {
    const { models } = this.#options;
    const master = await models.open('model');
    refuseUnaveraged(master.manifest);
    this.#broadcaster ??= this.#makeBroadcaster(first);
    const file = (await models.file('model')) ?? globalModelPath(version - 1);
    return live(await this.#broadcaster.prepare(version, master, file), master);
  }

  #makeBroadcaster(first: Coding['first']): Broadcaster {
    const { job, run, codecs, folder, filters } = this.#options;
    if (broadcastsUpdates(job, codecs))
      return new UpdateBroadcaster({ coding: { ...job.quantize, first: first ?? job.quantize.first }, run, codecs });
    const own = { out: ownFilters(job, 'task-out', filters), in: ownFilters(job, 'task-in', filters) };
    return new WholeBroadcaster({ job, codecs, ...own, folder });
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
    return live(broadcast, model);
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

function live(broadcast: Broadcast, master: StateDict): LiveOffer {
  const { model, held, exact } = broadcast;
  return { model, held, exact, broadcast, master, having: new Set() };
}
