// The models of a round on the server: the broadcast, prepared once, and the sites' results as they arrived.
import type { CodecTable } from '../codec/codec.js';
import { FedStreamError } from '../core/errors.js';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { broadcastsDelta, filterChain, filterPlan, sendsDelta } from '../filter/chain.js';
import { applyFilters, type Filter, type FilterContext, type FilterPoint } from '../filter/filter.js';
import type { IncomingStream } from '../stream/incoming-stream.js';
import type { Manifest } from '../tensor/manifest.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import type { StateDict } from '../tensor/state-dict.js';
import { OFFERED_FILES } from '../trainer/bridge/messages.js';
import type { TransferFigures } from '../transfer/figures.js';
import { objectBytes, objectSource } from '../transfer/object.js';
import { type Received, receiveModel } from '../transfer/receive.js';
import { type Prepared, prepareModel } from '../transfer/send.js';
import { openSpool, spoolInfo, spoolSource } from '../transfer/spool.js';
import { checkFinite } from '../exchange/finite.js';
import type { ResultFigures } from '../workflow/task.js';
import { BASE_FOLDER, writeGlobalModel } from './global-models.js';
import { HeldModels } from './held-models.js';
import { type Job, siteNames } from './job.js';
import { wholeObject } from './protocol.js';
import { type ResultState, type RoundState, readResultState, readRoundState, writeResultState, writeRoundState } from './round-state.js';

const FOLDER = 'rounds';
/** Where an initial model arrives; gone once there is one. */
export const OFFER_FOLDER = 'offer';
const BROADCAST = 'global.spool';

/** What a task says of the model that is on offer, and the results that are here already. */
export interface Offer {
  readonly object: string;
  readonly base: number | undefined;
  readonly results: ReadonlyMap<string, ResultFigures>;
}

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
  /** Of each result that is here, what the journal has. */
  readonly states: Map<string, ResultState>;
  /** Transfers under way: one a site at a time, since they share a spool. */
  readonly arriving: Map<string, Promise<unknown>>;
}

/** No coding of a model is larger than this many times the model. */
const MOST_OF_MODEL = 2;
const SLACK_BYTES = 1024 * 1024;
/** Nothing is known of an offered model before it is there; only the disk bounds it, and a peer that fills it is cut off here: 140 billion parameters in bfloat16. */
const MAX_OFFER_BYTES = 280e9;

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
  #checking: Promise<void> = Promise.resolve();
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

  /**
   * Prepares the global model for all sites at once; returns what a task says of it, and the results that are here already because an earlier
   * process was stopped in the middle of the round. `reportedRound` is what its transfers count for: that of an evaluation after the last round
   * counts for the last round.
   */
  async offer(round: number, model: StateDict, reportedRound = round): Promise<Offer> {
    const { job, run } = this.#options;
    const before = broadcastsDelta(job) ? await this.#held.open(round - 1) : undefined;
    const own = `round-${String(round).padStart(4, '0')}`;
    for (const other of await run.list(FOLDER)) if (other !== own) await run.remove(`${FOLDER}/${other}`);
    const folder = job.streaming === 'regular' ? memoryFolder(own) : run.folder(`${FOLDER}/${own}`);
    const known = await readRoundState(folder);
    const coded = await applyFilters(model, this.#chains['task-out'], {
      ...this.#context('task-out', round, 'every site'),
      reference: before,
    });
    const object = known?.object ?? `global-${round}-${crypto.randomUUID().slice(0, 13)}`;
    const prepared = await this.#prepare(coded, folder, object, known);
    await writeRoundState(folder, { round, object, digest: prepared.source.digest });
    // Filters are lazy: what a site will hold, and send back, is known from their manifests without a byte being read.
    const held = broadcastsDelta(job) ? await this.#keep(round, folder, coded, before, known) : undefined;
    const received = held ?? (await this.#decoded(coded, round, before));
    const expected = (await this.#accepted(await this.#sentBack(received, round), held ?? model, round, 'a site')).manifest;
    this.traffic.bytesDown = 0;
    this.traffic.bytesUp = 0;
    const current: RoundModels = {
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
      states: new Map(),
      arriving: new Map(),
    };
    for (const site of siteNames(job)) await this.#restore(current, site);
    this.#current = current;
    const results = new Map([...current.states].map(([site, { figures }]) => [site, figures]));
    return { object, base: before && round - 1, results };
  }

  /** What an earlier process had prepared is used where it is still what it was. */
  async #prepare(coded: StateDict, folder: Folder, object: string, known: RoundState | undefined): Promise<Prepared> {
    const { job, codecs } = this.#options;
    if (known?.digest !== undefined && (await folder.sizeBytes(BROADCAST)) !== undefined) {
      const info = await spoolInfo(folder, BROADCAST);
      if (info.digest === known.digest) return { source: spoolSource(folder, BROADCAST, info), release: () => folder.remove(BROADCAST) };
    }
    return prepareModel(coded, codecs, job.streaming, folder, BROADCAST, object);
  }

  /** A result that an earlier process had verified. */
  async #restore({ folder, results, states }: RoundModels, site: string): Promise<void> {
    const state = await readResultState(folder, site);
    if (!state || (await spoolInfo(folder, spoolOf(site))).digest !== state.digest) return;
    results.set(site, await openSpool(folder, spoolOf(site), this.#options.codecs));
    states.set(site, state);
  }

  /** Decodes the broadcast as a site does, from the spool where there is one. */
  async #keep(
    round: number,
    folder: Folder,
    coded: StateDict,
    before: StateDict | undefined,
    known: RoundState | undefined,
  ): Promise<StateDict> {
    const { codecs } = this.#options;
    const kept = known && (await this.#held.open(round));
    if (kept) return kept;
    if ((await folder.sizeBytes(BROADCAST)) === undefined) return this.#held.keep(round, await this.#decoded(coded, round, before));
    const sent = await openSpool(folder, BROADCAST, codecs);
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
  async accept(
    site: string,
    stream: IncomingStream,
    figures: ResultFigures,
    onProgress: () => void,
  ): Promise<{ figures: TransferFigures; manifest: Manifest }> {
    const current = this.#current;
    if (!current) throw new FedStreamError('refused', `no round is under way that ${site} could have a result of`);
    const verify = async (model: StateDict): Promise<void> => {
      const accepted = await this.#accepted(model, current.base, current.round, site);
      sameTensors(current.expected, accepted.manifest, `the result of ${site}`);
      const { model: update } = await this.#contributed(model, current, site);
      await this.#checkFinite(update, `the result of ${site}`);
      const state = { figures, objectId: stream.objectId, digest: stream.foundDigest };
      await writeResultState(current.folder, site, state);
      current.states.set(site, state);
    };
    const receive = (): Promise<Received> => this.#receive(current, site, stream, verify, onProgress);
    // One after the other: a site that connects again may be quicker than the end of its old connection.
    const arriving = (current.arriving.get(site) ?? Promise.resolve()).then(receive, receive);
    current.arriving.set(site, arriving);
    const received = await arriving;
    current.results.set(site, received.model);
    return { figures: received.figures, manifest: received.model.manifest };
  }

  /** One after the other: each takes all cores, and memory is not to grow with the number of sites that finish at once. */
  #checkFinite(model: StateDict, whose: string): Promise<void> {
    const check = (): Promise<void> => checkFinite(model, whose, this.#options.codecs);
    const checked = this.#checking.then(check);
    this.#checking = checked.catch(() => {});
    return checked;
  }

  /** A site that did not hear that its result is here sends it again: it is told, and nothing is. False where this is another result. */
  async confirmAgain(site: string, stream: IncomingStream, taskId: string): Promise<boolean> {
    const current = this.#current;
    const state = current?.states.get(site);
    if (!current?.results.has(site) || !state || state.figures.task !== taskId || state.objectId === undefined) return false;
    if (state.objectId !== stream.objectId) return false;
    const { totalBytes: offset, sums } = await spoolInfo(current.folder, spoolOf(site));
    for await (const _ of stream.read({ resume: { offset, sums } }));
    await stream.confirm();
    return true;
  }

  /** Spools an initial model that a site offers, looks at every value, makes it the model of round 0, and only then confirms it: the site's next question finds it done. */
  async acceptOffer(site: string, stream: IncomingStream, files: Readonly<Record<string, string>>, onProgress: () => void): Promise<void> {
    const { codecs, run } = this.#options;
    const folder = run.folder(OFFER_FOLDER);
    const verify = async (model: StateDict): Promise<void> => {
      const coded = model.manifest.tensors.find(({ encoding }) => encoding.codec !== 'raw');
      if (coded) throw new FedStreamError('bad-model', `the initial model of ${site} has ${coded.name} coded as ${coded.encoding.codec}`);
      await checkFinite(model, `the initial model of ${site}`, codecs);
      for (const name of OFFERED_FILES) if (files[name] !== undefined) await writeText(run, `${BASE_FOLDER}/${name}`, files[name]);
      await writeGlobalModel(run, 0, model);
    };
    const { model } = await receiveModel(stream, { codecs, folder, name: `${site}.spool`, maxBytes: MAX_OFFER_BYTES, verify, onProgress });
    await model.close?.();
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
      name: spoolOf(site),
      maxBytes: MOST_OF_MODEL * objectBytes(current.received, codecs) + SLACK_BYTES,
      verify,
      onProgress,
    });
  }

  /** A site's result, as it travelled where that can be added as it is, else after the server's own filters; lazy. */
  async result(round: number, site: string): Promise<{ model: StateDict; base?: StateDict | undefined }> {
    const current = this.#current;
    const model = current?.round === round ? current.results.get(site) : undefined;
    if (!current || !model) throw new FedStreamError('internal', `there is no result of ${site} in round ${round}`);
    return this.#contributed(model, current, site);
  }

  async #contributed(
    model: StateDict,
    { base, round }: RoundModels,
    site: string,
  ): Promise<{ model: StateDict; base?: StateDict | undefined }> {
    const { job } = this.#options;
    const own = job.filters?.['result-in'] ?? [];
    if (own.length > 0) return { model: await this.#accepted(model, base, round, site) };
    return { model, base: sendsDelta(job) ? base : undefined };
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
    await this.#options.run.remove(FOLDER);
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

function spoolOf(site: string): string {
  return `${site}.spool`;
}
