// Connections over HTTP that were asked for and have not begun.
import { randomBytes } from 'node:crypto';
import { BUDGETS } from '../../core/budgets.js';
import { FairShare } from '../../driver/fair-share.js';
import { addressOf } from '../../driver/peer-address.js';

interface Opening {
  readonly id: string;
  readonly address: string;
  /** The certificate names of the client: nobody else may use the id. */
  readonly names: string;
  readonly timer: NodeJS.Timeout;
}

/** The ids of connections that may begin, each for a limited time. */
export class HttpOpenings {
  readonly #waitMs: number;
  readonly #onForgotten: () => void;
  readonly #byId = new Map<string, Opening>();
  readonly #shares = new FairShare<Opening>({ most: BUDGETS.openedIds.limit, mostOfAddress: BUDGETS.openedIds.limit });

  /** Takes `onForgotten`, which is called when an id was not used in time. */
  constructor(waitMs: number, onForgotten: () => void) {
    this.#waitMs = waitMs;
    this.#onForgotten = onForgotten;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Makes an id for a client; with too many, one of the address that has the most is forgotten. */
  open(peer: string, names: string): string {
    const id = randomBytes(16).toString('hex');
    const address = addressOf(peer);
    const victim = this.#shares.victimOf(address);
    if (victim !== undefined && victim !== 'new') this.#forget(victim);
    const late = (): void => {
      this.#forget(opening);
      this.#onForgotten();
    };
    const opening: Opening = { id, address, names, timer: setTimeout(late, this.#waitMs) };
    this.#byId.set(id, opening);
    this.#shares.add(address, opening);
    return id;
  }

  /** Takes the id for a connection that begins: true once, for the client that asked for it. */
  begin(id: string, names: string): boolean {
    const opening = this.#byId.get(id);
    if (opening?.names !== names) return false;
    this.#forget(opening);
    return true;
  }

  #forget(opening: Opening): void {
    clearTimeout(opening.timer);
    this.#byId.delete(opening.id);
    this.#shares.delete(opening.address, opening);
  }
}
