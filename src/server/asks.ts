// Asks and their answers. Each ask has a unique id; its verified answer is kept under that id until
// the commit, so that a server that crashes asks no site twice.
import type { CodecTable } from '../codec/codec.js';
import { inFloat32 } from '../codec/float32.js';
import { FedStreamError } from '../core/errors.js';
import type { Table } from '../core/row.js';
import type { Folder } from '../core/storage.js';
import { Turns } from '../core/turns.js';
import { decodedExtras, sentManifest } from '../exchange/extras-coding.js';
import type { ResultFigures, Task } from '../exchange/task.js';
import type { Filter } from '../filter/filter.js';
import type { Job } from '../job/job.js';
import type { IncomingStream } from '../stream/incoming-stream.js';
import { MODEL_NAME } from '../tensor/extra-names.js';
import type { Manifest } from '../tensor/manifest.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import { splitDicts } from '../tensor/named-dicts.js';
import { bytesless, type StateDict } from '../tensor/state-dict.js';
import { DiskRoom } from '../transfer/disk-room.js';
import type { TransferFigures } from '../transfer/figures.js';
import { receiveModel } from '../transfer/receive.js';
import { openSpool, spoolInfo } from '../transfer/spool.js';
import type { Ask, AskedParts, Outcome, Reply } from '../workflow/federation.js';
import { BoundsOfAnswers, checkOffered } from './answer-bounds.js';
import { AnswerNorms } from './answer-norms.js';
import type { LiveOffer, Offers } from './offers.js';
import { type ReplyState, readGathered, readReplyState, removeReplyState, writeGathered, writeReplyState } from './round-state.js';
import { type Answer, quorumLost, type TaskBoard, type WaitOptions } from './task-board.js';
import { UpdateReplies } from './update-replies.js';

/** Options of `Asks`. */
export interface AsksOptions {
  readonly job: Job;
  readonly codecs: CodecTable;
  readonly filters: Table<Filter>;
  readonly board: TaskBoard;
  readonly offers: Offers;
  /** The run folder, whose disk must have room for what arrives. */
  readonly run: Folder;
  /** The folder for files of the current round. */
  folder(): Folder;
}

/** A task that was posted, and the state of its answer. */
export interface OpenAsk {
  readonly site: string;
  readonly task: Task;
  readonly offer: LiveOffer | undefined;
  /** The manifest of the model that the ask is about, as a whole. */
  readonly manifest: Manifest | undefined;
  readonly returns: 'update' | 'model' | 'figures';
  readonly returnsExtras: Readonly<Record<string, Manifest>>;
  /** The folder of its round. */
  readonly folder: Folder;
  state: ReplyState | undefined;
  /** The answer, read from its spool; undefined until it is here, and for figures alone. */
  answer: StateDict | undefined;
  /** Transfers of one answer run one at a time, since they share a spool. */
  readonly transfers: Turns;
}

const RETURNS: Readonly<Record<string, OpenAsk['returns']>> = { train: 'update', trainPart: 'update', offer: 'model' };

/**
 * The asks of the current round: posts tasks, takes in their answers, and finds again what was
 * answered before a restart.
 */
export class Asks {
  readonly #options: AsksOptions;
  readonly #updates: UpdateReplies;
  /** Asks of the current round, by task id. */
  readonly #open = new Map<string, OpenAsk>();
  #gathers = 0;
  /** Sites whose answer is waited for. */
  readonly #waiting = new Set<string>();
  readonly #room: DiskRoom;
  readonly #bounds: BoundsOfAnswers;
  readonly #norms: AnswerNorms;

  constructor(options: AsksOptions) {
    this.#options = options;
    this.#room = new DiskRoom({ folder: options.run });
    this.#bounds = new BoundsOfAnswers(options.job, options.codecs);
    this.#updates = new UpdateReplies(options.job, options.codecs, options.filters);
    this.#norms = new AnswerNorms(options.job, options.codecs, this.#updates);
  }

  /** The open ask for the site's task of that id; undefined where there is none. */
  find(site: string, taskId?: string): OpenAsk | undefined {
    const task = this.#options.board.open(site, taskId);
    return task && this.#open.get(task.id);
  }

  /**
   * Asks the sites and waits for their answers. Answers from before this process began are not
   * asked for again.
   */
  async gather(asks: ReadonlyMap<string, Ask>, round: number, options: WaitOptions): Promise<Outcome[]> {
    const number = this.#gathers++;
    const sites = [...asks.keys()];
    const busy = sites.find((site) => this.#waiting.has(site));
    if (busy !== undefined)
      throw new FedStreamError('bad-argument', `${busy} is asked already; a workflow asks a site one thing at a time`);
    for (const site of sites) this.#waiting.add(site);
    try {
      return await this.#gathered(number, asks, round, options);
    } finally {
      for (const site of sites) this.#waiting.delete(site);
    }
  }

  async #gathered(number: number, asks: ReadonlyMap<string, Ask>, round: number, options: WaitOptions): Promise<Outcome[]> {
    const { board, folder } = this.#options;
    const sites = [...asks.keys()];
    const posted = new Map<string, OpenAsk>();
    for (const [site, ask] of asks) posted.set(site, await this.make(site, ask, round));
    const known = await readGathered(folder(), number);
    const same = known?.map(({ site }) => site).join('\n') === [...sites].sort().join('\n');
    if (known && same && known.every((line) => line.status !== 'done' || posted.get(line.site)?.state))
      return Promise.all(known.map((line) => this.#outcome(line as Answer, posted)));
    for (const { site, task, state } of posted.values()) board.post(site, task, state && { site, status: 'done', result: state.figures });
    const answers = await this.#judged(await board.answers(sites, options), posted, options.quorum);
    await writeGathered(folder(), number, answers);
    return Promise.all(answers.map((answer) => this.#outcome(answer, posted)));
  }

  /**
   * Refuses the answers that are far larger than the others'. Where too few are left, those that
   * were refused are forgotten: a run that goes on later asks their sites again.
   */
  async #judged(answers: readonly Answer[], posted: ReadonlyMap<string, OpenAsk>, quorum: number): Promise<readonly Answer[]> {
    const measured = answers.flatMap(({ site, status }) => {
      const ask = posted.get(site) as OpenAsk;
      return status === 'done' && ask.state?.norms ? [{ ask, norms: ask.state.norms }] : [];
    });
    const refused = await this.#norms.refused(measured);
    if (refused.size === 0) return answers;
    const judged = answers.map((answer): Answer => {
      const reason = refused.get(answer.site);
      return reason === undefined ? answer : { site: answer.site, status: 'failed', reason };
    });
    const lost = judged.filter(({ status }) => status !== 'done');
    if (answers.length - lost.length >= quorum) return judged;
    for (const site of refused.keys()) await removeReplyState(this.#options.folder(), (posted.get(site) as OpenAsk).task.id);
    throw quorumLost(quorum, [...posted.keys()], lost);
  }

  /**
   * Spools a site's answer, checks every value, and confirms it. An answer that is wrong is
   * refused, and the error thrown.
   */
  async accept(
    ask: OpenAsk,
    stream: IncomingStream,
    figures: ResultFigures,
    onProgress: (receivedBytes: number) => void,
  ): Promise<{ figures: TransferFigures; manifest: Manifest }> {
    const { task, folder } = ask;
    const { codecs } = this.#options;
    const verify = async (message: StateDict): Promise<void> => {
      const norms = await this.#norms.of(message, ask);
      await this.#keep(ask, { figures, objectId: stream.objectId, digest: stream.foundDigest, norms });
    };
    const receive = async () => {
      if (!this.#isOpen(ask) || (ask.state && !isUnconfirmed(ask, stream)) || this.#expired(ask)) throw tooLate(ask);
      const expect = (manifest: Manifest) => this.#checkManifest(bytesless(manifest), ask);
      const bounds = this.#bounds.of(ask);
      return receiveModel(stream, {
        codecs,
        folder,
        name: spoolOf(task),
        ...bounds,
        room: this.#room,
        expect,
        verify,
        onProgress,
      });
    };
    // Transfers run one after the other: a site that reconnects may be quicker than the end of its
    // old connection. A stream that ends while it waits leaves nothing behind.
    const end = await ask.transfers.take(stream.signal);
    try {
      const received = await receive();
      ask.answer = received.model;
      return { figures: received.figures, manifest: received.model.manifest };
    } finally {
      end();
    }
  }

  /**
   * Accepts an answer that is figures alone; returns the figures that count. The first ones do: an
   * answer may be sent again while it is being stored.
   */
  async acceptFigures(ask: OpenAsk, figures: ResultFigures, signal: AbortSignal): Promise<ResultFigures> {
    if (ask.returns !== 'figures') throw new FedStreamError('refused', `${ask.task.id} asks for a model, not for figures alone`);
    const end = await ask.transfers.take(signal);
    try {
      if (this.#expired(ask)) throw tooLate(ask);
      if (ask.state) return ask.state.figures;
      await this.#keep(ask, { figures });
      return figures;
    } finally {
      end();
    }
  }

  /**
   * Confirms an answer once more to a site that did not receive the first confirmation and sends it
   * again. Returns false where this is another answer.
   */
  async confirmAgain(site: string, stream: IncomingStream, taskId: string): Promise<boolean> {
    const ask = this.#open.get(taskId);
    if (ask?.site !== site || !ask.answer || ask.state?.objectId === undefined || ask.state.objectId !== stream.objectId) return false;
    const { totalBytes: offset, sums } = await spoolInfo(ask.folder, spoolOf(ask.task));
    for await (const _ of stream.read({ resume: { offset, sums } }));
    await stream.confirm();
    return true;
  }

  /** Settles an ask that has expired, now that its site has come to the end of it. */
  #expired({ site, task }: OpenAsk): boolean {
    const { board } = this.#options;
    if (!board.hasExpired(site)) return false;
    if (board.open(site, task.id)) board.fail(site, 'it has expired');
    return true;
  }

  #isOpen(ask: OpenAsk): boolean {
    return this.#open.get(ask.task.id) === ask;
  }

  /**
   * Writes the state of an answer beside its spool. An answer that comes while its round ends is
   * refused: the folder is gone, or about to be.
   */
  async #keep(ask: OpenAsk, state: ReplyState): Promise<void> {
    if (!this.#isOpen(ask)) throw tooLate(ask);
    try {
      await writeReplyState(ask.folder, ask.task.id, state);
    } catch (error) {
      throw this.#isOpen(ask) ? error : tooLate(ask, error);
    }
    ask.state = state;
  }

  /** Ends the round: its asks no longer count, but for those, and their answers are closed. */
  async release(open: ReadonlySet<OpenAsk> = new Set()): Promise<void> {
    const asks = [...this.#open.values()].filter((ask) => !open.has(ask));
    for (const { task } of asks) this.#open.delete(task.id);
    this.#gathers = 0;
    for (const { answer } of asks) await answer?.close?.();
  }

  /** Takes in an ask of an earlier round, after a crash, with the answer that the site had given. */
  restore(ask: Pick<OpenAsk, 'site' | 'task' | 'offer' | 'folder'>): Promise<OpenAsk> {
    const { kind } = ask.task;
    return this.#opened({ ...ask, manifest: ask.offer?.held.manifest, returns: RETURNS[kind] ?? 'figures', returnsExtras: {} });
  }

  /** Makes an ask, which may have been answered before this process began; its task is not posted. */
  async make(site: string, ask: Ask, current: number): Promise<OpenAsk> {
    const { job, offers, folder } = this.#options;
    const { kind, round = current, evaluate = false, figures, texts } = ask;
    const task: Task = {
      id: this.#newId(`${kind}-${round}-${site}`),
      kind,
      round,
      rounds: job.rounds,
      model: ask.parts ? undefined : ask.offer?.model,
      ...(ask.parts && { parts: describedParts(ask.parts) }),
      ...(ask.extras && { extras: await offers.extras(ask.extras) }),
      ...(figures && { figures: { ...figures } }),
      ...(texts && { texts: { ...texts } }),
      evaluate,
      ...(ask.needs && { needs: [...ask.needs] }),
    };
    const { returns = RETURNS[kind] ?? 'figures', returnsExtras = {} } = ask;
    const offer = ask.offer as LiveOffer | undefined;
    const manifest = ask.parts?.manifest ?? offer?.held.manifest;
    return this.#opened({ site, task, offer, manifest, returns, returnsExtras, folder: folder() });
  }

  async #opened(ask: Omit<OpenAsk, 'state' | 'answer' | 'transfers'>): Promise<OpenAsk> {
    const { task, folder } = ask;
    const made: OpenAsk = { ...ask, state: undefined, answer: undefined, transfers: new Turns(1) };
    const state = await readReplyState(folder, task.id);
    if (state?.digest === undefined) made.state = state;
    else if ((await spoolInfo(folder, spoolOf(task))).digest === state.digest) {
      made.answer = await openSpool(folder, spoolOf(task), this.#options.codecs);
      made.state = state;
    }
    this.#open.set(task.id, made);
    return made;
  }

  /**
   * A unique task id: repeated asks of the same kind to a site are numbered. The workflow asks in
   * the same order after a restart, so the ids are the same.
   */
  #newId(id: string): string {
    if (!this.#open.has(id)) return id;
    let number = 2;
    while (this.#open.has(`${id}-${number}`)) number++;
    return `${id}-${number}`;
  }

  async #outcome(answer: Answer, posted: ReadonlyMap<string, OpenAsk>): Promise<Outcome> {
    if (answer.status !== 'done') return answer;
    return { site: answer.site, status: 'done', reply: await this.#reply(posted.get(answer.site) as OpenAsk) };
  }

  async #reply({ site, task, state, answer, offer, returns }: OpenAsk): Promise<Reply> {
    const { figures, norms } = state as ReplyState;
    if (!answer) return { site, figures, extras: {} };
    const { model, ...extras } = splitDicts(answer);
    const decoded = await decodedExtras(extras, 'result-in', { ...this.#options, site, round: task.round });
    if (!model || returns !== 'update' || !offer) return { site, figures, ...(model && { model }), extras: decoded };
    const contributed = await this.#updates.contributed(model, offer, task.round, site);
    return { site, figures, ...contributed, norm: norms?.[MODEL_NAME], extras: decoded };
  }

  /** The model of an answer as an update of the model that was offered, whatever it travelled as. */
  async update({ site, task, answer, offer }: OpenAsk): Promise<StateDict | undefined> {
    const model = answer && splitDicts(answer).model;
    return model && offer && this.#updates.update(model, offer, task.round, site);
  }

  /** Why answers are refused, by site: those that are far larger than the others. */
  outliers(asks: readonly OpenAsk[]): Promise<ReadonlyMap<string, string>> {
    return this.#norms.refused(asks.flatMap((ask) => (ask.state?.norms ? [{ ask, norms: ask.state.norms }] : [])));
  }

  /** Checks that a message could be the answer, without reading a value. */
  async #checkManifest(message: StateDict, ask: OpenAsk): Promise<void> {
    const { site, task, offer, returns, returnsExtras } = ask;
    const { model, ...extras } = splitDicts(message);
    for (const [name, dict] of Object.entries(extras)) {
      const expected = Object.hasOwn(returnsExtras, name) ? returnsExtras[name] : undefined;
      if (!expected)
        throw new FedStreamError('bad-model', `the result of ${site} carries ${JSON.stringify(name)}, which was not asked for`);
      sameTensors(sentManifest(name, expected, this.#options), inFloat32(dict).manifest, `${name} of ${site}`);
    }
    const missing = Object.keys(returnsExtras).find((name) => !Object.hasOwn(extras, name));
    if (missing !== undefined)
      throw new FedStreamError('bad-model', `the result of ${site} lacks ${JSON.stringify(missing)}, which was asked for`);
    if (!model) {
      if (returns === 'figures') return;
      throw new FedStreamError('bad-model', `the result of ${site} has no model`);
    }
    if (returns === 'figures') throw new FedStreamError('bad-model', `${site} sends a model where figures were asked for`);
    if (returns === 'update' && offer) await this.#updates.check(model, offer, task.round, site);
    else checkOffered(model.manifest, site, this.#options.job);
  }
}

function describedParts({ part, overlap, alpha, offers }: AskedParts): Task['parts'] {
  return { part, of: offers.length, overlap, alpha, models: offers.map(({ round, offer }) => ({ round, model: offer.model })) };
}

/**
 * True for an answer that is stored, and whose connection ended before its site could be told: the
 * site sends it once more, and none of its bytes travels.
 */
function isUnconfirmed({ answer, state }: OpenAsk, { objectId }: IncomingStream): boolean {
  return !answer && state?.objectId !== undefined && state.objectId === objectId;
}

function tooLate({ site, task }: OpenAsk, cause?: unknown): FedStreamError {
  return new FedStreamError('refused', `the answer of ${site} to ${task.id} is here already, or too late`, { cause });
}

function spoolOf({ id }: Task): string {
  return `${id}.spool`;
}
