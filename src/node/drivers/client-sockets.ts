// The sockets that carry the requests of an HTTP client, and those that it keeps for its next ones.
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
 * The sockets of one connection, as the gate counts them. Once its peer has proved its name, the gate
 * lets be what carries requests, and some idle ones: were one cut off because strangers crowd in, the
 * client's next request would be lost on it, or would find no place, and the session would end.
 */
export class ClientSockets {
  readonly #busy = new Set<Pass>();
  readonly #kept = new Set<Pass>();
  #isAdmitted = false;
  #isReleased = false;

  /** The peer has proved its name. */
  admit(): void {
    this.#isAdmitted = true;
    for (const pass of [...this.#busy, ...this.#kept]) pass.admitted();
  }

  /** The socket carries a request of the connection from now on. */
  carries(pass: Pass): void {
    this.#busy.add(pass);
    if (this.#isAdmitted) pass.admitted();
  }

  /** Its request is over, and it is kept for the next one; with too many, the oldest gives way as strangers do. */
  idles(pass: Pass): void {
    this.#busy.delete(pass);
    if (this.#isReleased) return;
    forgetKept(pass);
    if (this.#isAdmitted) pass.admitted();
    this.#kept.add(pass);
    keptIn.set(pass, this.#kept);
    const [oldest] = this.#kept;
    if (oldest && this.#kept.size > BUDGETS.httpKeptSockets.limit) giveUp(oldest);
  }

  /** The connection has ended: what is left of it gives way as strangers do. */
  release(): void {
    this.#isReleased = true;
    for (const pass of [...this.#kept]) giveUp(pass);
  }
}

function giveUp(pass: Pass): void {
  forgetKept(pass);
  pass.idle();
}
