// The listening side of striping: sorts new connections into stripes and plain ones.
import { BUDGETS } from '../core/budgets.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { type Connection, DEFAULT_CONNECT_TIMEOUT_MS, type DriverOptions } from './driver.js';
import { addressOf } from './peer-address.js';
import { PlainConnection } from './plain-connection.js';
import { decodeJoin, type StripeJoin } from './stripe-join.js';
import { StripedConnection } from './striped-connection.js';

/** The most connections that may wait, and the most incomplete groups, of all and of one address. */
export interface StripeLimits {
  readonly unsorted: number;
  readonly groups: number;
  readonly groupsOfAddress: number;
}

const LIMITS: StripeLimits = {
  unsorted: BUDGETS.unsortedConnections.limit,
  groups: BUDGETS.stripeGroups.limit,
  groupsOfAddress: BUDGETS.stripeGroupsOfAddress.limit,
};

interface Member {
  readonly connection: Connection;
  readonly frames: AsyncIterator<Uint8Array>;
}

interface Group {
  readonly members: (Member | undefined)[];
  readonly names: string;
  /** The address of its first stripe. */
  readonly address: string;
  readonly timer: ReturnType<typeof setTimeout>;
}

/**
 * Waits for the first frame of each new connection, and for all stripes of each group. Nothing but
 * that frame is read meanwhile, so a group that never becomes complete costs little.
 */
export class StripeGroups {
  readonly #accept: (connection: Connection) => void;
  readonly #options: DriverOptions;
  readonly #waitMs: number;
  readonly #silent = new Map<Connection, () => void>();
  readonly #groups = new Map<string, Group>();
  readonly #limits: StripeLimits;

  constructor(accept: (connection: Connection) => void, options: DriverOptions, limits: StripeLimits = LIMITS) {
    this.#accept = accept;
    this.#limits = limits;
    this.#options = options;
    this.#waitMs = options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS;
  }

  /**
   * Takes a new connection. One that sends nothing in time, or no frame of striping first, is
   * passed on as it is: the session reports what is wrong with it.
   */
  add(connection: Connection): void {
    connection.readOne?.(BUDGETS.helloBytes.limit);
    const frames = connection[Symbol.asyncIterator]();
    const first = frames.next();
    const passOn = (): void => {
      clearTimeout(timer);
      if (this.#silent.delete(connection)) this.#handOver(new PlainConnection(connection, first, frames, this.#options.maxFrameBytes));
    };
    const timer = setTimeout(passOn, this.#waitMs);
    this.#silent.set(connection, passOn);
    if (this.#silent.size > this.#limits.unsorted) oldest(this.#silent)?.();
    first.then(({ value, done }) => {
      const join = done || !this.#silent.has(connection) ? undefined : this.#joinIn(connection, value);
      if (join === undefined) passOn();
      else {
        clearTimeout(timer);
        this.#silent.delete(connection);
        if (join) this.#join(join, { connection, frames });
      }
    }, passOn);
  }

  /** Whoever does not ask for one frame only is given all of them. */
  #handOver(connection: PlainConnection | StripedConnection): void {
    this.#accept(connection);
    if (!connection.isLimited) connection.readOn();
  }

  /** Closes all incomplete groups. */
  close(): void {
    for (const id of [...this.#groups.keys()]) this.#drop(id, new FedStreamError('closed', 'the server no longer listens'));
  }

  /**
   * The join in a first frame: undefined for another frame, false for an invalid join, which was
   * refused.
   */
  #joinIn(connection: Connection, frame: Uint8Array): StripeJoin | false | undefined {
    try {
      return decodeJoin(frame);
    } catch (error) {
      this.#refuse(connection, asFedStreamError(error));
      return false;
    }
  }

  #join({ group: id, index, count }: StripeJoin, member: Member): void {
    const { connection } = member;
    const key = [...id].join();
    const names = JSON.stringify(connection.certificateNames ?? null);
    const group = this.#groups.get(key) ?? this.#begin(key, count, names, addressOf(connection.peer));
    if (group.names !== names || group.members.length !== count || group.members[index]) {
      this.#refuse(connection, new FedStreamError('bad-frame', `${connection.peer} is not a stripe of the connection that it names`));
      return;
    }
    group.members[index] = member;
    const members = group.members.filter((one) => one !== undefined);
    if (members.length < count) return;
    clearTimeout(group.timer);
    this.#groups.delete(key);
    this.#handOver(
      new StripedConnection(
        members.map((one) => one.connection),
        members.map((one) => one.frames),
        this.#options.maxFrameBytes,
      ),
    );
  }

  #begin(key: string, count: number, names: string, address: string): Group {
    const late = new FedStreamError('timeout', `not all of its ${count} stripes came within ${this.#waitMs / 1000} s`);
    const timer = setTimeout(() => this.#drop(key, late), this.#waitMs);
    const group: Group = { members: new Array<Member | undefined>(count).fill(undefined), names, address, timer };
    this.#groups.set(key, group);
    const { groups, groupsOfAddress } = this.#limits;
    const [eldest] = this.#groups.keys();
    const ofAddress = [...this.#groups].filter(([, other]) => other.address === address);
    const [eldestOfAddress] = ofAddress;
    if (ofAddress.length > groupsOfAddress && eldestOfAddress)
      this.#drop(
        eldestOfAddress[0],
        new FedStreamError('limit', `more than ${groupsOfAddress} striped connections of ${address} are incomplete`),
      );
    else if (this.#groups.size > groups && eldest !== undefined)
      this.#drop(eldest, new FedStreamError('limit', `more than ${groups} striped connections are incomplete`));
    return group;
  }

  #drop(key: string, error: FedStreamError): void {
    const group = this.#groups.get(key);
    if (!group) return;
    clearTimeout(group.timer);
    this.#groups.delete(key);
    const connections = group.members.flatMap((member) => member?.connection ?? []);
    const [first] = connections;
    if (first) this.#options.onRefused?.(first.peer, error); // one word for all of them
    for (const connection of connections) void connection.close(error);
  }

  #refuse(connection: Connection, error: FedStreamError): void {
    this.#options.onRefused?.(connection.peer, error);
    void connection.close(error);
  }
}

function oldest(silent: ReadonlyMap<Connection, () => void>): (() => void) | undefined {
  const [first] = silent.values();
  return first;
}
