// Peers that were refused wait for their answer, the longer the more of them came before: whoever
// guesses is slow, and a site with the right credentials never waits.
import { BUDGETS } from '../core/budgets.js';
import { addressOf } from '../driver/peer-address.js';
import type { Credentials } from '../frame/session.js';

/** The pause of the first refusal; each one after it doubles the pause. */
const FIRST_MS = 50;
/** After so long without another one, half of the refusals are forgotten. */
const HALF_LIFE_MS = 30_000;
/** Addresses and names that are remembered; the oldest of more are forgotten. */
const MOST_REMEMBERED = 4_096;

/** The limits of refused peers; those of the table by default. */
export interface RefusedPeersLimits {
  readonly pauseMs?: number;
  readonly waitingOfAddress?: number;
  readonly waiting?: number;
}

/** The refused peers of a hub, which wait for their answer. */
export class RefusedPeers {
  readonly #limits: Required<RefusedPeersLimits>;
  readonly #byAddress = new Failures();
  readonly #byName = new Failures();
  readonly #waiting = new Map<string, number>();
  #allWaiting = 0;

  constructor(limits: RefusedPeersLimits = {}) {
    this.#limits = {
      pauseMs: BUDGETS.refusalPauseMs.limit,
      waitingOfAddress: BUDGETS.refusedOfAddress.limit,
      waiting: BUDGETS.refused.limit,
      ...limits,
    };
  }

  /**
   * Counts a refusal by the peer's address and by the name that it gave, and lets it wait; resolves
   * once it may be told. Undefined where too many wait already: such a peer is cut off without an
   * answer.
   */
  wait(peer: string, name: string, { stall }: Pick<Credentials, 'stall'>, signal: AbortSignal): Promise<void> | undefined {
    const address = addressOf(peer);
    const failures = Math.max(this.#byAddress.count(address), this.#byName.count(name));
    const ofAddress = this.#waiting.get(address) ?? 0;
    if (ofAddress >= this.#limits.waitingOfAddress || this.#allWaiting >= this.#limits.waiting) return undefined;
    this.#waiting.set(address, ofAddress + 1);
    this.#allWaiting++;
    return stall(Math.min(FIRST_MS * 2 ** Math.min(failures - 1, 32), this.#limits.pauseMs), signal).finally(() => this.#left(address));
  }

  #left(address: string): void {
    this.#allWaiting--;
    const left = (this.#waiting.get(address) ?? 1) - 1;
    if (left === 0) this.#waiting.delete(address);
    else this.#waiting.set(address, left);
  }
}

/** Failures by address or by name, which are forgotten with time. */
class Failures {
  readonly #counts = new Map<string, { count: number; atMs: number }>();

  /** Counts one more; returns how many there are. */
  count(key: string): number {
    const now = performance.now();
    const { count, atMs } = this.#counts.get(key) ?? { count: 0, atMs: now };
    const next = { count: Math.floor(count / 2 ** Math.floor((now - atMs) / HALF_LIFE_MS)) + 1, atMs: now };
    // Set anew, so that the oldest is the first of the map.
    this.#counts.delete(key);
    this.#counts.set(key, next);
    if (this.#counts.size > MOST_REMEMBERED) this.#counts.delete(this.#counts.keys().next().value as string);
    return next.count;
  }
}
