// Asks that outlive commits: those that are open stay open, with their offers, and the order in which
// answers arrive is made durable before anything depends on it.
import { FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Folder } from '../core/storage.js';
import type { Arrival, Arrived, Ask, InFlight } from '../workflow/federation.js';
import type { Asks, OpenAsk } from './asks.js';
import type { JournalEntry } from './journal.js';
import type { LiveOffer, Offers } from './offers.js';
import { type ArrivalState, readArrivals, readAskState, writeArrivals, writeAskState } from './round-state.js';
import type { Answer, FirstOptions, TaskBoard } from './task-board.js';

/** Options of `AsksInFlight`. */
export interface AsksInFlightOptions {
  readonly asks: Asks;
  readonly offers: Offers;
  readonly board: TaskBoard;
  readonly log: Logger;
  /** The round that the next commit ends. */
  round(): number;
  /** The folder for files of a round. */
  folder(round: number): Folder;
  /** How long to wait, by the job and what a workflow says. */
  waits(options: Parameters<InFlight['next']>[0]): FirstOptions;
  /** Called before anything else: finds what an earlier process has left. */
  begin(): Promise<void>;
}

/** The asks in flight of a run. */
export class AsksInFlight implements InFlight {
  readonly #options: AsksInFlightOptions;
  /** By site: one of each at the most. */
  readonly #flying = new Map<string, OpenAsk>();
  /** The answers that were returned since the last commit. */
  readonly #taken: { readonly state: ArrivalState; readonly ask: OpenAsk }[] = [];
  /** Those that an earlier process has noted in this round. */
  #noted: readonly ArrivalState[] | undefined;

  constructor(options: AsksInFlightOptions) {
    this.#options = options;
  }

  readonly open = async (): Promise<readonly { readonly site: string; readonly round: number }[]> => {
    await this.#options.begin();
    return this.#sorted().map(({ site, task: { round } }) => ({ site, round }));
  };

  readonly ask = async (site: string, task: Ask): Promise<void> => {
    const { asks, round } = this.#options;
    await this.#options.begin();
    if (this.#flying.has(site))
      throw new FedStreamError('bad-argument', `${site} is asked already; one ask of a site is in flight at a time`);
    if (task.extras || task.returnsExtras) throw new FedStreamError('bad-argument', 'an ask in flight carries no extras');
    const made = await asks.make(site, task, round());
    const offer = task.offer as LiveOffer | undefined;
    if (offer) await writeAskState(made.folder, { task: made.task, ...offer.files });
    this.#flying.set(site, made);
    await this.#post(made);
  };

  readonly next = async (options: Parameters<InFlight['next']>[0] = {}): Promise<Arrival> => {
    const { board, waits, folder, round } = this.#options;
    await this.#options.begin();
    if (this.#flying.size === 0) throw new FedStreamError('bad-argument', 'nothing is in flight, so nothing can arrive');
    const answer = (await this.#replayed()) ?? (await board.first([...this.#flying.keys()].sort(), waits(options)));
    const ask = this.#flying.get(answer.site) as OpenAsk;
    const reason = 'reason' in answer && answer.reason !== undefined ? { reason: answer.reason } : {};
    this.#taken.push({ state: { site: answer.site, task: ask.task.id, status: answer.status, ...reason }, ask });
    const noted = await this.#known();
    if (this.#taken.length > noted.length) {
      this.#noted = this.#taken.map(({ state }) => state);
      await writeArrivals(folder(round()), this.#noted);
    }
    this.#flying.delete(answer.site);
    return this.#arrival(answer, ask);
  };

  readonly expire = async (before: number, reason: string): Promise<void> => {
    await this.#options.begin();
    for (const ask of this.#sorted()) if (ask.task.round < before && !ask.state) this.#options.board.expire(ask.site, reason);
  };

  readonly forgetFailures = async (): Promise<void> => {
    const { folder, round } = this.#options;
    await writeArrivals(
      folder(round()),
      (await this.#known()).filter(({ status }) => status === 'done'),
    );
  };

  readonly outliers = (arrivals: readonly Arrival[]): Promise<ReadonlyMap<string, string>> => {
    const sites = new Set(arrivals.map(({ site, round }) => `${round} ${site}`));
    return this.#options.asks.outliers(this.#taken.map(({ ask }) => ask).filter(({ site, task }) => sites.has(`${task.round} ${site}`)));
  };

  /** Gives up the asks of these sites: they are about to be asked something else. */
  giveUp(sites: Iterable<string>): void {
    for (const site of sites) this.#flying.delete(site);
  }

  /** The asks that outlive the commit, and their offers. */
  get kept(): { readonly asks: ReadonlySet<OpenAsk>; readonly offers: ReadonlySet<LiveOffer>; readonly rounds: ReadonlySet<number> } {
    const asks = this.#sorted();
    const live = asks.filter(({ site, state }) => state || !this.#options.board.hasExpired(site));
    return {
      asks: new Set(asks),
      offers: new Set(live.flatMap(({ offer }) => offer ?? [])),
      rounds: new Set(asks.map(({ task }) => task.round)),
    };
  }

  /** What the line of the journal says of the asks in flight. */
  entry(): Pick<JournalEntry, 'arrivals' | 'inFlight'> {
    const arrivals = this.#taken.map(({ state: { site, status }, ask }): Arrived => ({ site, round: ask.task.round, status }));
    const inFlight = this.#sorted().map(({ site, task: { id, round } }) => ({ site, round, task: id }));
    return { ...(arrivals.length > 0 && { arrivals }), ...(inFlight.length > 0 && { inFlight }) };
  }

  /** Called once the journal has the entry. */
  committed(): void {
    this.#taken.length = 0;
    this.#noted = undefined;
  }

  /** Takes in the asks that an earlier process has left, with their offers and answers. */
  async restore(left: NonNullable<JournalEntry['inFlight']>): Promise<void> {
    const { asks, offers, log, board, folder } = this.#options;
    const reopened = new Map<number, LiveOffer | undefined>();
    for (const { site, round, task: id } of left) {
      const place = folder(round);
      const state = await readAskState(place, id);
      // Without its files nothing of the ask is left; the workflow asks the site anew.
      if (!state) continue;
      const { task, master, held } = state;
      if (task.model && !reopened.has(round)) {
        const earlier = { round, model: task.model, files: { master, held }, folder: place };
        const gone = (error: Error): undefined => {
          log.warn({ round, site }, `the offer of round ${round} cannot be opened again: ${error.message}`);
        };
        reopened.set(round, await offers.reopen(earlier).catch(gone));
      }
      const ask = await asks.restore({ site, task, offer: reopened.get(round), folder: place });
      this.#flying.set(site, ask);
      await this.#post(ask);
      if (task.model && !ask.offer) board.expire(site, `the offer of round ${round} is gone`);
    }
  }

  /** A site that was noted to have failed is not asked again for the same. */
  async #post({ site, task, state }: OpenAsk): Promise<void> {
    const noted = (await this.#known()).find((one) => one.task === task.id);
    const done = state && ({ site, status: 'done', result: state.figures } as const);
    this.#options.board.post(site, task, noted && noted.status !== 'done' ? (noted as Answer) : done);
  }

  async #known(): Promise<readonly ArrivalState[]> {
    this.#noted ??= await readArrivals(this.#options.folder(this.#options.round()));
    return this.#noted;
  }

  /** The next answer as an earlier process has noted it; undefined once there is none. */
  async #replayed(): Promise<Answer | undefined> {
    const line = (await this.#known())[this.#taken.length];
    const ask = line && this.#flying.get(line.site);
    if (line && ask?.task.id === line.task && (line.status !== 'done' || ask.state)) return line as Answer;
    // What was noted and cannot be had any more, after damage to the disk, comes again in its own time.
    if (line) this.#noted = this.#taken.map(({ state }) => state);
    return undefined;
  }

  async #arrival(answer: Answer, ask: OpenAsk): Promise<Arrival> {
    const { round } = ask.task;
    if (answer.status !== 'done') return { ...answer, round };
    const { figures, norms } = ask.state as NonNullable<OpenAsk['state']>;
    const model = await this.#options.asks.update(ask);
    const { site, offer } = ask;
    return {
      site,
      status: 'done',
      round,
      reply: {
        site,
        figures,
        ...(model && { model }),
        ...(offer && { given: offer.held }),
        isUpdate: true,
        norm: norms?.model,
        extras: {},
      },
    };
  }

  #sorted(): OpenAsk[] {
    return [...this.#flying.values()].sort((a, b) => (a.site < b.site ? -1 : 1));
  }
}
