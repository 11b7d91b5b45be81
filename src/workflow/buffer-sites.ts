// The sites of an asynchronous run: which to ask in a round, and which are lost to it.
import { FedStreamError } from '../core/errors.js';
import type { Step } from './federation.js';

/** Rounds that a site is left alone at the most after it has failed several times in a row. */
const MOST_ROUNDS_LEFT_ALONE = 7;

/** Options of `BufferSites`. */
export interface BufferSitesOptions {
  readonly sites: readonly string[];
  readonly history: readonly Step[];
  readonly round: number;
  /** The most versions that an update may be behind; an older one is no failure of its site. */
  readonly staleness: number;
  readonly quorum: number;
}

/**
 * The standing of each site in one round, from the journal alone: the same after a crash. A site
 * that has failed once is asked again in the next round, one that fails again and again is left alone
 * for 1, 3, 7, 7, … rounds, unless there is no quorum without it.
 */
export class BufferSites {
  readonly #options: BufferSitesOptions;
  /** Sites that are left alone in this round. */
  readonly #alone: Set<string>;
  /** Sites that cannot be had in this round, and why. */
  readonly #lost = new Map<string, string>();

  constructor(options: BufferSitesOptions) {
    this.#options = options;
    const { sites, round } = options;
    this.#alone = new Set(sites.filter((site) => askedFrom(site, options) > round));
  }

  /** The sites to ask as the round begins, beside those that are at work. */
  toAsk(open: readonly string[]): string[] {
    for (const site of open) this.#alone.delete(site);
    return this.#options.sites.filter((site) => !open.includes(site) && !this.#alone.has(site));
  }

  /** A site has failed in this round. */
  lose(site: string, reason: string): void {
    this.#lost.set(site, reason);
  }

  /** Sites that were to be left alone, and are asked now because too few others are left. */
  called(): string[] {
    const { sites, quorum } = this.#options;
    if (sites.length - this.#lost.size - this.#alone.size >= quorum) return [];
    const called = [...this.#alone].sort();
    this.#alone.clear();
    return called;
  }

  /** The error of a round that too few sites are left for; undefined where there are enough. */
  quorumLost(): FedStreamError | undefined {
    const { sites, quorum, round } = this.#options;
    const left = sites.length - this.#lost.size;
    if (left >= quorum) return undefined;
    const reasons = [...this.#lost]
      .sort()
      .slice(0, 20)
      .map(([site, reason]) => `${site} ${reason.slice(0, 300)}`);
    const more = this.#lost.size > reasons.length ? [`and ${this.#lost.size - reasons.length} more`] : [];
    return new FedStreamError(
      'quorum',
      `round ${round} needs ${quorum} sites that take part and has ${left} of ${sites.length}: ${[...reasons, ...more].join('; ')}`,
    );
  }
}

/** The round from which on a site is asked again, by the failures in a row that the journal has. */
function askedFrom(site: string, { history, staleness }: BufferSitesOptions): number {
  let failures = 0;
  let last = 0;
  for (const { round, arrivals = [] } of history)
    for (const arrival of arrivals) {
      if (arrival.site !== site) continue;
      const isFailure = arrival.status !== 'done' && round - arrival.round <= staleness;
      failures = isFailure ? failures + 1 : 0;
      last = round;
    }
  return failures === 0 ? 0 : last + Math.min(2 ** (failures - 1), MOST_ROUNDS_LEFT_ALONE + 1);
}
