// Drops repeated optimizer steps: after a broken connection, a site sends steps again for which it
// got no reply.
import type { EventOf } from './events.js';

/** Remembers the last step of each site. */
export class KnownSteps {
  /** The last step, by site. */
  readonly #last = new Map<string, { readonly round: number; readonly step: number }>();

  /** Returns false for a known step: one of the same round that is not later than the last one. */
  take({ site, round, step }: EventOf<'step'>): boolean {
    const last = this.#last.get(site);
    if (last !== undefined && last.round === round && step <= last.step) return false;
    this.#last.set(site, { round, step });
    return true;
  }
}
