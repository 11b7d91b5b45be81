// Sockets that an HTTP client keeps for its next requests, while nothing is on them.
import { BUDGETS } from '../../core/budgets.js';
import type { Pass } from '../../driver/connection-gate.js';

/** Where each pass is kept: a proxy sends the requests of many clients over one socket. */
const keptIn = new WeakMap<Pass, Set<Pass>>();

/** A request has come on the socket: nobody keeps it, until its answer is sent. */
export function forgetKept(pass: Pass): void {
  keptIn.get(pass)?.delete(pass);
  keptIn.delete(pass);
}

/**
 * The idle sockets of one connection. Once its peer has proved its name, the gate lets them be: were
 * one cut off because strangers crowd in, the client's next request would be lost on it, or would
 * find no place, and the session would end.
 */
export class KeptSockets {
  readonly #passes = new Set<Pass>();
  #isAdmitted = false;
  #isReleased = false;

  /** The peer has proved its name. */
  admit(): void {
    this.#isAdmitted = true;
    for (const pass of this.#passes) pass.admitted();
  }

  /** Keeps an idle socket; with too many, the oldest gives way as strangers do. */
  keep(pass: Pass): void {
    if (this.#isReleased) return;
    forgetKept(pass);
    if (this.#isAdmitted) pass.admitted();
    this.#passes.add(pass);
    keptIn.set(pass, this.#passes);
    const [oldest] = this.#passes;
    if (oldest && this.#passes.size > BUDGETS.httpKeptSockets.limit) giveUp(oldest);
  }

  /** The connection has ended: what is left of it gives way as strangers do. */
  release(): void {
    this.#isReleased = true;
    for (const pass of [...this.#passes]) giveUp(pass);
  }
}

function giveUp(pass: Pass): void {
  forgetKept(pass);
  pass.idle();
}
