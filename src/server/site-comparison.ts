// Holds a run's training back until its sites have told what it rests on, and refuses those that
// contradict each other.
import { z } from 'zod';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { jsonText } from '../core/json-text.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import type { Lora } from '../job/lora.js';
import { type Fingerprints, fingerprintsSchema } from '../trainer/fingerprints.js';
import { type Contradiction, contradictions, type DifferenceRules, inWords, ruleFor } from './contradictions.js';
import { comparableRank, wrongRank } from './lora-comparison.js';
import type { TaskBoard } from './task-board.js';
import { waitingIn, wake } from './waiting.js';

/** The file that keeps, from the first training on, what the sites told. */
export const FINGERPRINTS_FILE = 'fingerprints.json';

const stateSchema = z.strictObject({
  /** What was told; many sites tell the same. */
  told: z.array(fingerprintsSchema),
  /** The place in `told` of what each site told. */
  sites: z.record(z.string(), z.int().min(0)),
  /** Names whose difference was warned of. */
  warned: z.array(z.string()),
});

/** Options of `SiteComparison`. */
export interface SiteComparisonOptions {
  /** The run folder. */
  readonly run: Folder;
  readonly board: TaskBoard;
  readonly rules: DifferenceRules;
  /**
   * So many sites are enough for a round. Once as many have told, the others are waited for as long as
   * a round waits for the rest of its results (`graceMs`).
   */
  readonly quorum: number;
  readonly graceMs: number | ((quorumTookMs: number) => number);
  /** The fingerprints of the model folder that the run begins with. */
  readonly own: Fingerprints;
  /** How adapters are averaged: with ranks, those of the sites' adapters differ on purpose. */
  readonly lora?: Lora;
  /** Called once for each difference that the job allows. */
  warn(message: string): void;
  /** Called for a site that contradicts what the run has trained with; the run goes on without it. */
  refused(site: string, message: string): void;
  /**
   * Called once before the first training with what all have told alike; training begins once it
   * has resolved. An error refuses the training of all.
   */
  readonly agreed?: ((fingerprints: Fingerprints) => Promise<void>) | undefined;
}

/** Adapters of one rank. */
const ALIKE: Lora = { type: 'factors' };
/** The party that the server's own fingerprints are of. */
const SERVER = 'the server';
/** Sites wait for each other, and some may be given up meanwhile: one look for all, so often. */
const LOOK_MS = 100;
const TO_DO = 'Make them alike, or allow the difference in the job: "differences"';

/** What one site told, and the same as a text, which is equal where the content is. */
interface Told {
  readonly fingerprints: Fingerprints;
  readonly text: string;
}

/** What the sites of a run have told of their training. */
export class SiteComparison {
  readonly #options: SiteComparisonOptions;
  readonly #told = new Map<string, Told>();
  /** Sites of earlier versions, which tell nothing. */
  readonly #silent = new Set<string>();
  readonly #warned = new Set<string>();
  /** The sites that wait for their turn, one for each wait, and what wakes them. */
  readonly #waiting = new Set<{ readonly site: string }>();
  readonly #turns = new Set<() => void>();
  #looks: ReturnType<typeof setInterval> | undefined;
  #loaded: Promise<void> | undefined;
  /** True from the first training on. */
  #begun = false;
  /** When the first site told, and when a quorum had. */
  #firstMs: number | undefined;
  #quorumMs: number | undefined;
  #beginning: Promise<void> | undefined;
  #kept: Promise<void> = Promise.resolve();
  #refused: readonly Contradiction[] | undefined;

  constructor(options: SiteComparisonOptions) {
    this.#options = options;
  }

  /** Called for each new session of a site. */
  connected(site: string, tells: boolean): void {
    if (tells) this.#silent.delete(site);
    else this.#silent.add(site);
  }

  /**
   * Takes what a site tells, and resolves once the site may train: when all sites that have a task
   * of training have told, were given up, or have had their time after a quorum had told. Rejects
   * with `bad-job` where the site contradicts another; before the first training that ends the run.
   */
  async tell(site: string, fingerprints: Fingerprints, signal: AbortSignal): Promise<void> {
    this.#loaded ??= this.#load();
    await this.#loaded;
    const told = toldBy(fingerprints);
    const wrong = this.#compared(site, told);
    if (wrong.length > 0 && this.#begun) {
      this.#options.refused(site, `it does not train what this run has trained: ${inWords(wrong)}. ${advice(wrong)}`);
      throw forSite(site, wrong);
    }
    if (wrong.length > 0) this.#refuse(wrong);
    const known = this.#told.get(site)?.text === told.text;
    this.#told.set(site, told);
    this.#firstMs ??= performance.now();
    if (!this.#begun) await this.#turn(site, signal);
    else if (!known) await this.#keep();
  }

  /** Returns the differences that the job does not allow, and warns of the others. */
  #compared(site: string, { fingerprints, text }: Told): Contradiction[] {
    const { own, rules, warn, lora = ALIKE } = this.#options;
    // Until its run trains, a site may tell something else; afterwards it must stay by it.
    const others = [...this.#told].filter(([other, theirs]) => theirs.text !== text && (this.#begun || other !== site));
    const parties = others.map(
      ([other, theirs]) => [other === site ? `${site} before` : other, comparableRank(other, theirs.fingerprints, lora)] as const,
    );
    const found = contradictions(site, comparableRank(site, fingerprints, lora), [...parties, [SERVER, this.#ownFor(own)]]);
    found.push(...wrongRank(site, fingerprints, lora));
    for (const difference of found) {
      if (ruleFor(difference.name, rules) === 'refuse' || this.#warned.has(difference.name)) continue;
      this.#warned.add(difference.name);
      warn(`the sites differ, as the job allows: ${inWords([difference])}`);
    }
    return found.filter(({ name }) => ruleFor(name, rules) === 'refuse');
  }

  /** The server's own fingerprints: with ranks, those of one site's adapter, of which nothing is compared. */
  #ownFor(own: Fingerprints): Fingerprints {
    const [first] = Object.keys(this.#options.lora?.ranks ?? {});
    if (first === undefined) return own;
    const { 'adapter.r': _, 'adapter.lora_alpha': __, ...others } = own;
    return others;
  }

  /** Waits until training may begin. */
  async #turn(site: string, signal: AbortSignal): Promise<void> {
    const wait = { site };
    this.#waiting.add(wait);
    this.#looks ??= setInterval(() => this.#look(), LOOK_MS);
    try {
      this.#look();
      if (!this.#refused && !this.#beginning) await waitingIn<void>(this.#turns, signal);
      if (!this.#refused) await this.#beginning;
    } finally {
      this.#waiting.delete(wait);
      if (this.#waiting.size === 0) {
        clearInterval(this.#looks);
        this.#looks = undefined;
      }
    }
    if (this.#refused) throw forSite(site, this.#refused);
  }

  /** Looks whether training may begin, for all that wait. */
  #look(): void {
    if (this.#refused) return;
    if (!this.#beginning && this.#complete()) {
      this.#beginning = this.#begin();
      this.#beginning.catch(() => {}); // each site that waits hears of it
      wake(this.#turns, undefined);
      return;
    }
    // A site that waits for others is not to blame for the time: it is neither silent nor idle.
    for (const { site } of this.#waiting) this.#options.board.advanced(site);
  }

  #complete(): boolean {
    const { board, quorum, graceMs } = this.#options;
    const training = board.training();
    const here = training.filter((site) => this.#told.has(site) || this.#silent.has(site)).length;
    if (here === training.length) return true;
    if (here < quorum) return false;
    const nowMs = performance.now();
    this.#quorumMs ??= nowMs;
    const tookMs = this.#quorumMs - (this.#firstMs ?? nowMs);
    return nowMs - this.#quorumMs >= (typeof graceMs === 'number' ? graceMs : graceMs(tookMs));
  }

  async #begin(): Promise<void> {
    try {
      await this.#options.agreed?.(this.#common());
    } catch (error) {
      this.#refused ??= [];
      this.#options.board.refuse(asFedStreamError(error));
      throw error;
    }
    await this.#keep();
    this.#begun = true;
  }

  /**
   * What the sites have told, as far as those that told it agree; undefined before the first
   * training.
   */
  async agreed(): Promise<Fingerprints | undefined> {
    this.#loaded ??= this.#load();
    await this.#loaded;
    return this.#begun ? this.#common() : undefined;
  }

  #common(): Fingerprints {
    const values = new Map<string, string>();
    const differing = new Set<string>();
    for (const { fingerprints } of this.#told.values()) {
      for (const [name, value] of Object.entries(fingerprints)) {
        if ((values.get(name) ?? value) !== value) differing.add(name);
        values.set(name, value);
      }
    }
    return Object.fromEntries([...values].filter(([name]) => !differing.has(name)).sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #refuse(wrong: readonly Contradiction[]): void {
    this.#refused ??= wrong;
    const message = `the sites would not train the same thing, and nothing was trained: ${inWords(wrong)}. ${advice(wrong)}`;
    this.#options.board.refuse(new FedStreamError('bad-job', message));
    wake(this.#turns, undefined);
  }

  async #load(): Promise<void> {
    const state = await readState(this.#options.run, FINGERPRINTS_FILE, stateSchema);
    if (!state) return;
    for (const [site, place] of Object.entries(state.sites)) this.#told.set(site, toldBy(state.told[place] ?? {}));
    for (const name of state.warned) this.#warned.add(name);
    this.#begun = true;
  }

  /** Writes what was told; one write at a time. */
  #keep(): Promise<void> {
    this.#kept = this.#kept.catch(() => {}).then(() => this.#write());
    return this.#kept;
  }

  async #write(): Promise<void> {
    const places = new Map<string, number>();
    const sites: Record<string, number> = {};
    for (const [site, { text }] of this.#told) {
      if (!places.has(text)) places.set(text, places.size);
      sites[site] = places.get(text) as number;
    }
    const told = [...places.keys()].map((text) => Object.fromEntries(JSON.parse(text) as [string, string][]));
    await writeText(this.#options.run, FINGERPRINTS_FILE, jsonText({ told, sites, warned: [...this.#warned] }, FINGERPRINTS_FILE));
  }
}

function toldBy(fingerprints: Fingerprints): Told {
  return { fingerprints, text: JSON.stringify(Object.entries(fingerprints).sort()) };
}

function advice(wrong: readonly Contradiction[]): string {
  return `${TO_DO}: {${JSON.stringify((wrong[0] as Contradiction).name)}: "warn"} (docs/job.md)`;
}

/** The error that a site is told: the names, and of the values only its own. */
function forSite(site: string, wrong: readonly Contradiction[]): FedStreamError {
  const own = wrong.flatMap(({ name, values }) => {
    const mine = [...values].find(([, parties]) => parties.includes(site));
    return mine ? [`${name} is ${JSON.stringify(mine[0])} here and another value elsewhere`] : [];
  });
  const what = own.length > 0 ? own.slice(0, 5).join('; ') : 'other sites of this run contradict each other';
  return new FedStreamError('bad-job', `not trained: ${what}. The server's operator sees which sites differ, and in what`);
}
