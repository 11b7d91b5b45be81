// Trained models as the sites send them back: checked when they arrive, then given to the
// aggregator.
import type { CodecTable } from '../codec/codec.js';
import { inFloat32, inOwnDtypes } from '../codec/float32.js';
import { decodeModel } from '../codec/quantize.js';
import type { Table } from '../core/row.js';
import { owed } from '../exchange/owed.js';
import { sumModel } from '../exchange/reduce.js';
import { codesWhole, ownFilters } from '../filter/chain.js';
import { delta } from '../filter/delta.js';
import { applyFilters, FILTER_POINTS, type Filter, type FilterContext, type FilterPoint } from '../filter/filter.js';
import { resultInFilters, sentSubject } from '../filter/order.js';
import type { Job } from '../job/job.js';
import { siteRank } from '../job/lora.js';
import { withRank } from '../tensor/lora-rank.js';
import type { Manifest } from '../tensor/manifest.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import { tensorsOf } from '../tensor/select-tensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { LiveOffer } from './offers.js';

/** The part of a result that is added up, and the model that it is a difference to. */
export interface Contributed {
  readonly model: StateDict;
  readonly isUpdate: boolean;
  readonly base?: StateDict | undefined;
}

/** Checks results against the offers that they answer, and turns them into contributions. */
export class UpdateReplies {
  readonly #job: Job;
  readonly #codecs: CodecTable;
  readonly #own: Record<FilterPoint, Filter[]>;
  readonly #sendsUpdates: boolean;
  readonly #resultIn: ReturnType<typeof resultInFilters>;
  readonly #expected = new WeakMap<LiveOffer, Promise<Manifest>>();
  /** By rank and scaling, the parts of an adapter that sites of different ranks are given. */
  readonly #parts = new WeakMap<LiveOffer, Map<string, LiveOffer>>();
  readonly #bases = new WeakMap<LiveOffer, { readonly base: StateDict | undefined }>();

  constructor(job: Job, codecs: CodecTable, filters: Table<Filter>) {
    this.#job = job;
    this.#codecs = codecs;
    this.#sendsUpdates = sentSubject(job, codecs, filters) === 'update';
    this.#resultIn = resultInFilters(job, codecs, filters);
    const chains = FILTER_POINTS.map((point) => [point, ownFilters(job, point, filters)] as const);
    this.#own = Object.fromEntries(chains) as Record<FilterPoint, Filter[]>;
  }

  /**
   * Checks that a message could be an answer to the offer, without reading values. Throws
   * `bad-model`, naming the tensor.
   */
  async check(message: StateDict, offer: LiveOffer, round: number, site: string): Promise<void> {
    const seen = this.#seenBy(site, offer);
    const expected = this.#expected.get(seen) ?? this.#expectedOf(seen, round);
    this.#expected.set(seen, expected);
    const accepted = await this.#accepted(message, seen, round, site);
    sameTensors(await expected, accepted.manifest, `the result of ${site}`);
  }

  /**
   * The message as it travelled where that can be added up directly, otherwise after the server's
   * own filters; lazy.
   */
  async contributed(message: StateDict, offer: LiveOffer, round: number, site: string): Promise<Contributed> {
    // A coded message is decoded and added in one kernel; the server's own filters need it decoded.
    const { filters, makes } = this.#resultIn;
    const seen = this.#seenBy(site, offer);
    const model = filters.length > 0 ? await this.#accepted(message, seen, round, site) : inFloat32(message);
    const isUpdate = makes === 'update';
    // Weights that a filter has made from the server's model need no base.
    return { model, isUpdate, base: isUpdate === this.#sendsUpdates ? this.#baseFor(seen) : undefined };
  }

  /** The change of the offered model, also of a message that brings whole weights; lazy, in float32. */
  async update(message: StateDict, offer: LiveOffer, round: number, site: string): Promise<StateDict> {
    const contributed = await this.contributed(message, offer, round, site);
    const given = this.given(contributed, offer, site);
    if (!given) return contributed.model;
    const addends = [
      { model: contributed.model, weight: 1 },
      { model: given, weight: -1 },
    ];
    return sumModel({ addends, codecs: this.#codecs, what: `the update of ${site}` });
  }

  /** The model that weights are to be compared with: what of it has changed is their update. */
  given({ model, isUpdate }: Contributed, offer: LiveOffer, site: string): StateDict | undefined {
    if (isUpdate) return undefined;
    const { master, held } = this.#seenBy(site, offer);
    return inFloat32(tensorsOf(this.#sendsUpdates ? master : inOwnDtypes(held, this.#codecs), model.manifest));
  }

  /** The offer as the site sees it: of sites of different ranks each has its part of the adapter. */
  #seenBy(site: string, offer: LiveOffer): LiveOffer {
    const own = siteRank(this.#job.lora, site);
    if (!own) return offer;
    const parts = this.#parts.get(offer) ?? new Map<string, LiveOffer>();
    this.#parts.set(offer, parts);
    const key = `${own.rank} ${own.scale}`;
    const part = (model: StateDict): StateDict => withRank(model, own.rank, 1 / own.scale);
    const seen = parts.get(key) ?? { ...offer, held: part(offer.held), master: part(offer.master) };
    parts.set(key, seen);
    return seen;
  }

  /**
   * Filters are lazy, so the manifest of what a site will send back is known without reading a
   * byte.
   */
  async #expectedOf(offer: LiveOffer, round: number): Promise<Manifest> {
    const context = { ...this.#context('result-out', round, 'a site'), reference: offer.held };
    const filtered = await applyFilters(offer.held, this.#own['result-out'], context);
    const sentBack = this.#sendsUpdates ? await applyFilters(filtered, [delta()], context) : filtered;
    return (await this.#accepted(sentBack, offer, round, 'a site')).manifest;
  }

  /** A message decoded and after the server's filters. */
  async #accepted(message: StateDict, { master, held }: LiveOffer, round: number, site: string): Promise<StateDict> {
    // Updates are added to the server's own model; whole weights were trained from the part of it
    // that their dtypes could hold.
    const reference = this.#sendsUpdates ? master : inOwnDtypes(held, this.#codecs);
    const context = { ...this.#context('result-in', round, site), reference };
    const decoded = decodeModel(inFloat32(message), this.#codecs);
    return applyFilters(decoded, this.#resultIn.filters, context);
  }

  /**
   * The model that results of an offer are added to. Updates are added to the server's own model.
   * Whole weights were trained from the part of it that their dtypes could hold; the rest is added
   * to their mean, so that steps below half a unit of a 16-bit dtype are not lost. Where a job
   * codes whole weights on purpose, their mean is the model.
   */
  #baseFor(offer: LiveOffer): StateDict | undefined {
    const known = this.#bases.get(offer) ?? { base: this.#makeBase(offer) };
    this.#bases.set(offer, known);
    return known.base;
  }

  #makeBase({ master, held, exact }: LiveOffer): StateDict | undefined {
    if (this.#sendsUpdates) return master;
    const own = [...this.#own['task-out'], ...this.#own['task-in']];
    if (codesWhole(this.#job) || own.length > 0) return undefined;
    const given = inOwnDtypes(held, this.#codecs);
    if (exact && given.manifest.tensors.every(({ dtype }, index) => dtype === held.manifest.tensors[index]?.dtype)) return undefined;
    return owed(master, decodeModel(inFloat32(given), this.#codecs), this.#codecs);
  }

  #context(point: FilterPoint, round: number, site: string): FilterContext {
    return { point, round, site, codecs: this.#codecs, count: () => {} };
  }
}
