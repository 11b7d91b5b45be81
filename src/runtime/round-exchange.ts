// The models of a round on the server: the broadcast, prepared once, and the sites' results as they arrived.
import type { CodecTable } from '../codec/codec.js';
import { FedStreamError } from '../core/errors.js';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder } from '../core/storage.js';
import { broadcastsDelta, filterChain, filterPlan } from '../filter/chain.js';
import { applyFilters, type Filter, type FilterContext, type FilterPoint } from '../filter/filter.js';
import type { IncomingStream } from '../stream/incoming-stream.js';
import type { Manifest } from '../tensor/manifest.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { TransferFigures } from '../transfer/figures.js';
import { objectBytes, objectSource } from '../transfer/object.js';
import { type Received, receiveModel } from '../transfer/receive.js';
import { type Prepared, prepareModel } from '../transfer/send.js';
import { openSpool } from '../transfer/spool.js';
import { checkFinite } from '../workflow/finite.js';
import { HeldModels } from './held-models.js';
import type { Job } from './job.js';
import { wholeObject } from './protocol.js';

const FOLDER = 'rounds';

/** What one round has on offer and has received. */
interface RoundModels {
  readonly round: number;
  readonly reportedRound: number;
  readonly object: string;
  readonly folder: Folder;
  readonly prepared: Prepared;
  /** What sites hold once they have decoded the broadcast; only where broadcasts are differences. */
  readonly held: StateDict | undefined;
  /** What the broadcast is a difference to. */
  readonly before: StateDict | undefined;
  /**
   * What deltas are added to. Where broadcasts are differences it is what the sites hold and trained from: server and sites hold the same bits, and
   * the error of a difference is small. Where broadcasts are whole it is the server's own model, so that the error of a coded model is not taken over.
   */
  readonly base: StateDict;
  /** What a site holds once it has decoded the broadcast. */
  readonly received: Manifest;
  /** What a result must consist of, after its filters. */
  readonly expected: Manifest;
  readonly results: Map<string, StateDict>;
  /** Transfers under way: one a site at a time, since they share a spool. */
  readonly arriving: Map<string, Promise<unknown>>;
}

/** No coding of a model is larger than this many times the model. */
const MOST_OF_MODEL = 2;
const SLACK_BYTES = 1024 * 1024;

export interface ExchangeOptions {
  readonly job: Job;
  readonly run: Folder;
  readonly codecs: CodecTable;
}

/** One round at a time: `offer` begins it, `release` ends it. */
export class RoundExchange {
  readonly #options: ExchangeOptions;
  readonly #chains: Record<FilterPoint, Filter[]>;
  readonly #held: HeldModels;
  #current: RoundModels | undefined;
  /** Bytes of this round over the connections. */
  readonly traffic = { bytesDown: 0, bytesUp: 0 };

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#held = new HeldModels(options.run.folder('held'));
    const plan = filterPlan(options.job);
    this.#chains = {
      'task-out': filterChain(plan['task-out']),
      'task-in': filterChain(plan['task-in']),
      'result-out': filterChain(plan['result-out']),
      'result-in': filterChain(plan['result-in']),
    };
  }

  /** Removes what a run that was stopped left behind. */
  async clear(): Promise<void> {
    await this.#options.run.remove(FOLDER);
  }

  /**
   * Prepares the global model for all sites at once; returns what a task says of it. `reportedRound` is what its transfers count for: that of an
   * evaluation after the last round counts for the last round.
   */
  async offer(round: number, model: StateDict, reportedRound = round): Promise<{ object: string; base: number | undefined }> {
    const { job, codecs, run } = this.#options;
    const before = broadcastsDelta(job) ? await this.#held.open(round - 1) : undefined;
    const path = `${FOLDER}/round-${String(round).padStart(4, '0')}`;
    const folder = job.streaming === 'regular' ? memoryFolder(path) : run.folder(path);
    const coded = await applyFilters(model, this.#chains['task-out'], {
      ...this.#context('task-out', round, 'every site'),
      reference: before,
    });
    const prepared = await prepareModel(coded, codecs, job.streaming, folder, 'global.spool');
    // Filters are lazy: what a site will hold, and send back, is known from their manifests without a byte being read.
    const held = broadcastsDelta(job) ? await this.#keep(round, folder, coded, before) : undefined;
    const received = held ?? (await this.#decoded(coded, round, before));
    const expected = (await this.#accepted(await this.#sentBack(received, round), held ?? model, round, 'a site')).manifest;
    this.traffic.bytesDown = 0;
    this.traffic.bytesUp = 0;
    const object = `global-${round}`;
    this.#current = {
      round,
      reportedRound,
      object,
      folder,
      prepared,
      held,
      before,
      base: held ?? model,
      received: received.manifest,
      expected,
      results: new Map(),
      arriving: new Map(),
    };
    return { object, base: before && round - 1 };
  }

  /** Decodes the broadcast as a site does, from the spool where there is one. */
  async #keep(round: number, folder: Folder, coded: StateDict, before: StateDict | undefined): Promise<StateDict> {
    const { job, codecs } = this.#options;
    if (job.streaming === 'container') return this.#held.keep(round, await this.#decoded(coded, round, before));
    const sent = await openSpool(folder, 'global.spool', codecs);
    try {
      return await this.#held.keep(round, await this.#decoded(sent, round, before));
    } finally {
      await sent.close?.();
    }
  }

  #decoded(coded: StateDict, round: number, before: StateDict | undefined): Promise<StateDict> {
    return applyFilters(coded, this.#chains['task-in'], { ...this.#context('task-in', round, 'every site'), reference: before });
  }

  /** The round that transfers count for now. */
  get round(): number {
    return this.#current?.reportedRound ?? 0;
  }

  /** What a model on offer consists of. */
  offered(name: string): Manifest {
    if (!this.object(name) || !this.#current) throw new FedStreamError('internal', `${name} is not on offer any more`);
    return this.#current.received;
  }

  /** What is sent under a name; undefined once its round is over. */
  object(name: string): Prepared | undefined {
    const current = this.#current;
    if (current?.object === name) return current.prepared;
    if (current?.held && wholeObject(current.object) === name)
      return { source: objectSource(current.held, this.#options.codecs), release: async () => {} };
    return undefined;
  }

  /** Spools a site's result and confirms it once every value was looked at; whatever is wrong refuses the transfer and is thrown. */
  async accept(site: string, stream: IncomingStream, onProgress: () => void): Promise<{ figures: TransferFigures; manifest: Manifest }> {
    const current = this.#current;
    if (!current) throw new FedStreamError('refused', `no round is under way that ${site} could have a result of`);
    const verify = async (model: StateDict): Promise<void> => {
      const accepted = await this.#accepted(model, current.base, current.round, site);
      sameTensors(current.expected, accepted.manifest, `the result of ${site}`);
      await checkFinite(accepted, `the result of ${site}`);
    };
    const receive = (): Promise<Received> => this.#receive(current, site, stream, verify, onProgress);
    // One after the other: a site that connects again may be quicker than the end of its old connection.
    const arriving = (current.arriving.get(site) ?? Promise.resolve()).then(receive, receive);
    current.arriving.set(site, arriving);
    const received = await arriving;
    current.results.set(site, received.model);
    return { figures: received.figures, manifest: received.model.manifest };
  }

  #receive(
    current: RoundModels,
    site: string,
    stream: IncomingStream,
    verify: (model: StateDict) => Promise<void>,
    onProgress: () => void,
  ): Promise<Received> {
    const { codecs } = this.#options;
    if (current !== this.#current || current.results.has(site))
      throw new FedStreamError('refused', `the result of ${site} in round ${current.round} is here already, or too late`);
    return receiveModel(stream, {
      codecs,
      folder: current.folder,
      name: `${site}.spool`,
      maxBytes: MOST_OF_MODEL * objectBytes(current.received, codecs) + SLACK_BYTES,
      verify,
      onProgress,
    });
  }

  /** A site's result after the server's own filters, lazy. */
  async result(round: number, site: string): Promise<StateDict> {
    const current = this.#current;
    const model = current?.round === round ? current.results.get(site) : undefined;
    if (!current || !model) throw new FedStreamError('internal', `there is no result of ${site} in round ${round}`);
    return this.#accepted(model, current.base, round, site);
  }

  /** Ends the round: its spools go. */
  async release(): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    if (!current) return;
    for (const model of current.results.values()) await model.close?.();
    await current.held?.close?.();
    await current.before?.close?.();
    await current.prepared.release();
    await this.clear();
  }

  #sentBack(received: StateDict, round: number): Promise<StateDict> {
    return applyFilters(received, this.#chains['result-out'], { ...this.#context('result-out', round, 'a site'), reference: received });
  }

  #accepted(model: StateDict, base: StateDict, round: number, site: string): Promise<StateDict> {
    return applyFilters(model, this.#chains['result-in'], { ...this.#context('result-in', round, site), reference: base });
  }

  #context(point: FilterPoint, round: number, site: string): FilterContext {
    return { point, round, site, codecs: this.#options.codecs, count: () => {} };
  }
}
