// Takes each optimizer step once: a site that was cut off sends again what it does not know to have
// arrived.
import type { EventOf } from './events.js';

/** Keeps the last step of each site. */
export class KnownSteps {
  /** By site. */
  readonly #last = new Map<string, { readonly round: number; readonly step: number }>();

  /** False for a step that is known already: of the same round, and not behind the last one. */
  take({ site, round, step }: EventOf<'step'>): boolean {
    const last = this.#last.get(site);
    if (last !== undefined && last.round === round && step <= last.step) return false;
    this.#last.set(site, { round, step });
    return true;
  }
}
