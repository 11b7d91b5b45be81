// The models of a round on the server: the broadcast, prepared once, and the sites' results as they arrived.
import type { CodecTable } from '../codec/codec.js';
import { inFloat32, inOwnDtypes, masterOf } from '../codec/float32.js';
import { decodeModel } from '../codec/quantize.js';
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { contentDigest } from '../exchange/content-digest.js';
import { checkFinite } from '../exchange/finite.js';
import { owed } from '../exchange/owed.js';
import type { ResultFigures, TaskModel } from '../exchange/task.js';
import { broadcastsUpdates, codesWhole, ownFilters, sendsUpdates } from '../filter/chain.js';
import type { Coding } from '../filter/coding.js';
import { delta, undelta } from '../filter/delta.js';
import { applyFilters, FILTER_POINTS, type Filter, type FilterContext, type FilterPoint } from '../filter/filter.js';
import { type Job, siteNames } from '../job/job.js';
import type { IncomingStream } from '../stream/incoming-stream.js';
import { dtypeBytes, elementCount } from '../tensor/dtype.js';
import type { Manifest, TensorEntry } from '../tensor/manifest.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import { notedDtypes } from '../tensor/own-dtypes.js';
import type { StateDict } from '../tensor/state-dict.js';
import { OFFERED_FILES } from '../trainer/bridge/messages.js';
import type { TransferFigures } from '../transfer/figures.js';
import { objectBytes, objectSource } from '../transfer/object.js';
import { type Received, receiveModel } from '../transfer/receive.js';
import { openSpool, spoolInfo } from '../transfer/spool.js';
import type { Broadcast, Broadcaster, OfferedObject } from './broadcast.js';
import { BASE_FOLDER, globalModelPath, writeGlobalModel } from './global-models.js';
import { type ResultState, readResultState, writeResultState } from './round-state.js';
import { UpdateBroadcaster } from './update-broadcaster.js';
import { roundFolder, roundFolderName, WholeBroadcaster } from './whole-broadcaster.js';

const FOLDER = 'rounds';
/** Where an initial model arrives; gone once there is one. */
export const OFFER_FOLDER = 'offer';

/** What a task says of the model that is on offer, and the results that are here already. */
export interface Offer {
  readonly model: TaskModel;
  readonly results: ReadonlyMap<string, ResultFigures>;
  /** Whether the sites hold the server's model to the bit. */
  readonly exact: boolean;
}

/** What one round has on offer and has received. */
interface RoundModels {
  readonly round: number;
  readonly reportedRound: number;
  readonly folder: Folder;
  /** The server's own. */
  readonly model: StateDict;
  readonly broadcast: Broadcast;
  /** What results are added to; see `#baseFor`. */
  readonly base: StateDict | undefined;
  /** What a result must consist of, after its filters. */
  readonly expected: Manifest;
  readonly results: Map<string, StateDict>;
  /** Of each result that is here, what the journal has. */
  readonly states: Map<string, ResultState>;
  /** Sites that have it without a transfer. */
  readonly having: Set<string>;
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
  readonly #own: Record<FilterPoint, Filter[]>;
  #broadcaster: Broadcaster;
  readonly #sendsUpdates: boolean;
  #current: RoundModels | undefined;
  #checking: Promise<void> = Promise.resolve();
  /** Where the spools of the round are. */
  #folder: { readonly round: number; readonly folder: Folder } | undefined;
  /** Bytes of this round over the connections. */
  readonly traffic = { bytesDown: 0, bytesUp: 0 };

  constructor(options: ExchangeOptions) {
    const { job, run, codecs } = options;
    this.#options = options;
    this.#sendsUpdates = sendsUpdates(job);
    const chains = FILTER_POINTS.map((point) => [point, ownFilters(job, point)] as const);
    this.#own = Object.fromEntries(chains) as Record<FilterPoint, Filter[]>;
    const own = { out: this.#own['task-out'], in: this.#own['task-in'] };
    this.#broadcaster = broadcastsUpdates(job)
      ? new UpdateBroadcaster({ coding: job.quantize, run, codecs })
      : new WholeBroadcaster({ job, codecs, ...own, folderOf: (round) => this.#folderOf(round) });
  }

  /** Says what the run begins with, before the first `offer`, where the job leaves it open. */
  beginWith(first: Coding['first']): void {
    const { job, run, codecs } = this.#options;
    if (broadcastsUpdates(job)) this.#broadcaster = new UpdateBroadcaster({ coding: { ...job.quantize, first }, run, codecs });
  }

  /**
   * Prepares the global model for all sites at once; returns what a task says of it, and the results that are here already because an earlier
   * process was stopped in the middle of the round. `reportedRound` is what its transfers count for: that
   * of an evaluation after the last round counts for the last round.
   */
  async offer(round: number, model: StateDict, reportedRound = round): Promise<Offer> {
    const { job, run } = this.#options;
    const own = roundFolderName(round);
    for (const other of await run.list(FOLDER)) if (other !== own) await run.remove(`${FOLDER}/${other}`);
    const folder = this.#folderOf(round);
    const broadcast = await this.#broadcaster.prepare(round, model, globalModelPath(round - 1));
    // Filters are lazy: what a site will send back is known from their manifests without a byte being read.
    const expected = (await this.#accepted(await this.#sentBack(broadcast.held, round), model, round, 'a site')).manifest;
    this.traffic.bytesDown = 0;
    this.traffic.bytesUp = 0;
    const base = this.#baseFor(model, broadcast);
    const states = { results: new Map(), states: new Map(), having: new Set<string>(), arriving: new Map() };
    const current: RoundModels = { round, reportedRound, folder, model, broadcast, base, expected, ...states };
    for (const site of siteNames(job)) await this.#restore(current, site);
    this.#current = current;
    const results = new Map([...current.states].map(([site, { figures }]) => [site, figures]));
    return { model: broadcast.model, results, exact: broadcast.exact };
  }

  /**
   * The server's model itself, uncoded, before the first round: to evaluate what the sites are not given. `asBase` lets sites look whether they have it.
   */
  async offerExactly(model: StateDict, asBase = false): Promise<Offer> {
    const { codecs } = this.#options;
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
    const folder = this.#folderOf(0);
    const none = { results: new Map(), states: new Map(), having: new Set<string>(), arriving: new Map() };
    const expected = model.manifest;
    // What travels for it is what the first round takes.
    this.#current = { round: 0, reportedRound: 1, folder, model, broadcast, base: undefined, expected, ...none };
    return { model: broadcast.model, results: none.results, exact: true };
  }

  /** Files of the run folder that what is on offer is made of. */
  needs(): Promise<readonly string[]> {
    return this.#broadcaster.needs();
  }

  /** True the first time that a site says of this offer that it has it. */
  countBase(site: string): boolean {
    const told = this.#current?.having;
    if (!told || told.has(site)) return false;
    told.add(site);
    return true;
  }

  /** Whether what is on offer is what the run begins with, and no update of it. */
  get isStart(): boolean {
    return (this.#current?.broadcast.model.updates ?? []).length === 0;
  }

  /** Bytes of the tensors in the dtypes of the checkpoint. */
  ownBytes({ tensors }: Manifest): number {
    const model = this.#current?.model.manifest;
    const own = model ? notedDtypes(model) : ({ dtype }: TensorEntry) => dtype;
    return tensors.reduce((sum, tensor) => sum + dtypeBytes(own(tensor), elementCount(tensor.shape)), 0);
  }

  /** What sites hold now. */
  get held(): StateDict | undefined {
    return this.#current?.broadcast.held;
  }

  /**
   * Updates are added to the server's own model. Whole weights were trained from what its dtypes could hold of it: what they could not is added to
   * their mean, so that steps below half a unit of a 16-bit dtype are not lost. Where whole weights are coded on purpose, their mean is the model.
   */
  #baseFor(model: StateDict, { held, exact }: Broadcast): StateDict | undefined {
    const { job, codecs } = this.#options;
    if (this.#sendsUpdates) return model;
    const own = [...this.#own['task-out'], ...this.#own['task-in']];
    if (codesWhole(job) || own.length > 0) return undefined;
    const given = inOwnDtypes(held, codecs);
    if (exact && given.manifest.tensors.every(({ dtype }, index) => dtype === held.manifest.tensors[index]?.dtype)) return undefined;
    return owed(model, decodeModel(inFloat32(given), codecs), codecs);
  }

  #folderOf(round: number): Folder {
    if (this.#folder?.round !== round) this.#folder = { round, folder: roundFolder(this.#options.run, this.#options.job, round) };
    return this.#folder.folder;
  }

  /** A result that an earlier process had verified. */
  async #restore({ folder, results, states }: RoundModels, site: string): Promise<void> {
    const state = await readResultState(folder, site);
    if (!state || (await spoolInfo(folder, spoolOf(site))).digest !== state.digest) return;
    results.set(site, await openSpool(folder, spoolOf(site), this.#options.codecs));
    states.set(site, state);
  }

  /** The round that transfers count for now. */
  get round(): number {
    return this.#current?.reportedRound ?? 0;
  }

  /** What is sent under a name; undefined once its round is over. */
  async object(name: string): Promise<OfferedObject | undefined> {
    return this.#current?.broadcast.object(name);
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
      const accepted = await this.#accepted(model, current.model, current.round, site);
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
      await writeGlobalModel(run, 0, decodeModel(masterOf(model), codecs));
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
      maxBytes: MOST_OF_MODEL * objectBytes(current.broadcast.held.manifest, codecs) + SLACK_BYTES,
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

  async #contributed(model: StateDict, current: RoundModels, site: string): Promise<{ model: StateDict; base?: StateDict | undefined }> {
    // A message that is coded is decoded and added in one kernel; the server's own filters need it decoded.
    if (this.#own['result-in'].length > 0) return { model: await this.#accepted(model, current.model, current.round, site) };
    return { model, base: current.base };
  }

  /** Ends the round: its spools go. */
  async release(): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    this.#folder = undefined;
    if (!current) return;
    for (const model of current.results.values()) await model.close?.();
    await current.broadcast.release();
    await this.#options.run.remove(FOLDER);
  }

  /** A site's message as it leaves, without its coding. */
  async #sentBack(held: StateDict, round: number): Promise<StateDict> {
    const context = { ...this.#context('result-out', round, 'a site'), reference: held };
    const filtered = await applyFilters(held, this.#own['result-out'], context);
    return this.#sendsUpdates ? applyFilters(filtered, [delta()], context) : filtered;
  }

  /** A site's message as it is accepted: weights, after the server's filters. */
  async #accepted(message: StateDict, model: StateDict, round: number, site: string): Promise<StateDict> {
    const context = { ...this.#context('result-in', round, site), reference: model };
    const decoded = decodeModel(inFloat32(message), this.#options.codecs);
    return applyFilters(decoded, [...(this.#sendsUpdates ? [undelta()] : []), ...this.#own['result-in']], context);
  }

  #context(point: FilterPoint, round: number, site: string): FilterContext {
    return { point, round, site, codecs: this.#options.codecs, count: () => {} };
  }
}

function spoolOf(site: string): string {
  return `${site}.spool`;
}
