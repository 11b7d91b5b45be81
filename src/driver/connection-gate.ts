// Counts raw connections before anything is read from them, and ends those that say nothing in
// time.
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import { FairShare } from './fair-share.js';
import { addressOf } from './peer-address.js';

/** How often deadlines are looked at. */
const TICK_MS = 1_000;
/**
 * A pending connection is left alone for so long, whoever else comes: many sites that come back at
 * the same time would otherwise push each other out in the middle of their handshakes.
 */
const YOUNG_MS = 2_000;
/** The most peers that are remembered as cut off. */
const MAX_TOLD = 4_096;

/** A raw connection that wants to come in. */
export interface Newcomer {
  /** The name in messages: `127.0.0.1:50123`. */
  readonly peer: string;
  /**
   * How many file descriptors the process has too few, this connection's counted: so many pending
   * connections must go, or this one.
   */
  readonly missingDescriptors?: number;
  /** True once a byte has come from it; those that are silent make room first. */
  hasSpoken?(): boolean;
  /** Cuts the connection off. */
  drop(): void;
}

/** The place of one raw connection behind the gate. It is pending at first. */
export interface Pass {
  /** It begins to wait for a hello: the deadline starts again. */
  pending(): void;
  /** Its peer has said who it is: the limits for pending connections do not concern it any more. */
  admitted(): void;
  /** It carries nothing now, but may later; it has no deadline, and gives way as pending ones do. */
  idle(): void;
  /** It is over. */
  leave(): void;
}

/** Lets raw connections in, or not. */
export interface Gate {
  /** Returns undefined for a connection that must be closed at once; the gate reports it. */
  enter(newcomer: Newcomer): Pass | undefined;
  /** Cuts off one pending connection, if there is one, because descriptors are short. */
  shed(): boolean;
}

/** The limits of a gate; those of the table by default. */
export interface GateLimits {
  readonly connections?: number;
  readonly pendingConnections?: number;
  readonly pendingOfAddress?: number;
  readonly helloMs?: number;
}

/** The gate of a hub, for all its listeners. */
export class ConnectionGate implements Gate {
  readonly #onRefused: (peer: string, error: FedStreamError) => void;
  readonly #connections: number;
  readonly #ofAddress: number;
  readonly #helloTicks: number;
  readonly #helloMs: number;
  readonly #waiting: FairShare<Place>;
  readonly #told = new Set<string>();
  #size = 0;
  #isClosed = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(onRefused: (peer: string, error: FedStreamError) => void, limits: GateLimits = {}) {
    this.#onRefused = onRefused;
    this.#connections = limits.connections ?? BUDGETS.connections.limit;
    this.#ofAddress = limits.pendingOfAddress ?? BUDGETS.pendingOfAddress.limit;
    this.#helloMs = limits.helloMs ?? BUDGETS.helloMs.limit;
    this.#helloTicks = Math.ceil(this.#helloMs / TICK_MS);
    this.#waiting = new FairShare({
      most: limits.pendingConnections ?? BUDGETS.pendingConnections.limit,
      mostOfAddress: this.#ofAddress,
      youngMs: YOUNG_MS,
      goesFirst: ({ hasSpoken }) => !hasSpoken(),
    });
  }

  /** The number of connections now. */
  get size(): number {
    return this.#size;
  }

  /** The number of them that are pending or idle. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** True for a peer that was cut off and reported here: whatever else fails now follows from that. */
  told(peer: string): boolean {
    return this.#told.has(peer);
  }

  enter(newcomer: Newcomer): Pass | undefined {
    const { peer, missingDescriptors = 0 } = newcomer;
    const address = addressOf(peer);
    if (this.#isClosed) return undefined;
    for (let missing = missingDescriptors; missing > 0; missing--)
      if (!this.shed()) return this.#refuse(peer, 'this process is short of file descriptors; raise its limit (ulimit -n)');
    const crowd = `there are ${this.#connections} connections, and no room for more`;
    // Room is needed at once: even a young one must go.
    if (this.#size >= this.#connections && !this.#makeRoom(this.#waiting.greediest(address, true), crowd)) return this.#refuse(peer, crowd);
    const victim = this.#waiting.victimOf(address);
    if (victim !== undefined) {
      const from = addressOf(victim === 'new' ? peer : victim.peer);
      const silent = `${this.#waiting.sizeOf(from)} connections from ${from} have not said who they are`;
      if (!this.#makeRoom(victim, silent)) return this.#refuse(peer, silent);
    }
    this.#size++;
    this.#told.delete(peer);
    return new Place(newcomer, address, this.#waiting, {
      changed: () => this.#watch(),
      left: () => void this.#size--,
    });
  }

  shed(): boolean {
    return this.#makeRoom(this.#waiting.greediest('', true), 'this process is short of file descriptors; raise its limit (ulimit -n)');
  }

  /**
   * Cuts off all that are pending or idle, so that no stranger keeps the process from its end, and
   * lets nobody in any more. Those that were admitted stay as they are.
   */
  close(): void {
    this.#isClosed = true;
    for (const [, place] of [...this.#waiting]) this.#cut(place);
    this.#watch();
  }

  #watch(): void {
    if (this.#waiting.size > 0) this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    else {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  /**
   * Time is counted in ticks, not read off a clock: if this process itself stood still, bytes that
   * came meanwhile are read before the next tick.
   */
  #tick(): void {
    for (const [, place] of [...this.#waiting]) {
      if (place.isIdle || ++place.ticks <= this.#helloTicks) continue;
      this.#drop(place, new FedStreamError('timeout', `${place.peer} did not say who it is within ${this.#helloMs / 1000} s`));
    }
  }

  /** Drops the victim; false if it is the new connection itself, or if there is none. */
  #makeRoom(victim: Place | 'new' | undefined, why: string): boolean {
    if (victim === undefined || victim === 'new') return false;
    this.#drop(victim, new FedStreamError('limit', `${victim.peer} was cut off: ${why}`));
    return true;
  }

  #refuse(peer: string, why: string): undefined {
    this.#onRefused(peer, new FedStreamError('limit', `${peer} was cut off: ${why}`));
  }

  #drop(place: Place, error: FedStreamError): void {
    this.#cut(place);
    this.#onRefused(place.peer, error);
  }

  #cut(place: Place): void {
    place.leave();
    // Peers without an address of their own share one name.
    if (addressOf(place.peer) !== place.peer) this.#told.add(place.peer);
    const [oldest] = this.#told;
    if (this.#told.size > MAX_TOLD && oldest !== undefined) this.#told.delete(oldest);
    place.drop();
  }
}

interface PlaceEvents {
  changed(): void;
  left(): void;
}

class Place implements Pass {
  readonly peer: string;
  readonly drop: () => void;
  readonly hasSpoken: () => boolean;
  isIdle = false;
  ticks = 0;
  readonly #address: string;
  readonly #waiting: FairShare<Place>;
  readonly #events: PlaceEvents;
  #isOver = false;

  constructor(newcomer: Newcomer, address: string, waiting: FairShare<Place>, events: PlaceEvents) {
    this.peer = newcomer.peer;
    this.drop = () => newcomer.drop();
    this.hasSpoken = () => newcomer.hasSpoken?.() ?? true;
    this.#address = address;
    this.#waiting = waiting;
    this.#events = events;
    this.pending();
  }

  pending(): void {
    this.ticks = 0;
    this.#wait(false);
  }

  idle(): void {
    this.#wait(true);
  }

  admitted(): void {
    if (this.#waiting.delete(this.#address, this)) this.#events.changed();
  }

  leave(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting.delete(this.#address, this);
    this.#events.changed();
    this.#events.left();
  }

  #wait(isIdle: boolean): void {
    if (this.#isOver) return;
    this.isIdle = isIdle;
    this.#waiting.add(this.#address, this);
    this.#events.changed();
  }
}
